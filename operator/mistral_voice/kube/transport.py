"""One request to the API server, or one stream from it: time-outs, retries, the fence, and errors."""

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from mistral_voice.kube.access import Access, open_session
from mistral_voice.kube.errors import ApiError, NotLeader, Unreachable, api_error
from mistral_voice.kube.resources import Resource

RequestObserver = Callable[[str, str, str, float], None]
"""Told of each request: verb, plural of the resource, HTTP code (or `unreachable`), seconds."""

JSON: Final = "application/json"
DEFAULT_TIMEOUT_SECONDS: Final = 10.0
CONNECT_TIMEOUT_SECONDS: Final = 5.0
MAX_ATTEMPTS: Final = 4
MAX_RETRY_WAIT_SECONDS: Final = 5.0
_STREAM_GRACE_SECONDS: Final = 15.0
_READS: Final = frozenset({"get", "list", "watch"})


class Fence(Protocol):
    """Says whether this process may still write. The leader elector is one."""

    def is_leader(self) -> bool:
        """Return whether a write may begin now."""
        ...

    def seconds_left(self) -> float:
        """Return how long it will be before another process could be leading, in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request: Kubernetes' verb and HTTP's method, the object or collection, and what is sent and wanted back."""

    verb: str
    method: str
    resource: Resource
    namespace: str | None
    name: str | None = None
    subresource: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON
    timeout_seconds: float | None = None

    def __str__(self) -> str:
        target = "/".join(part for part in (self.namespace, self.name, self.subresource) if part)
        return f"{self.verb} {self.resource.plural} {target}".rstrip()

    def url(self, server: str) -> URL:
        """Return the whole address, already quoted."""
        address = server + self.resource.path(self.namespace, self.name, self.subresource)
        query = "&".join([f"{name}={quote(value, safe='')}" for name, value in self.query.items()])
        return URL(f"{address}?{query}" if query else address, encoded=True)

    def headers(self) -> dict[str, str]:
        """Return the headers that differ from call to call."""
        return {"Accept": self.accept} if self.body is None else {"Accept": self.accept, "Content-Type": self.content_type}


def unobserved(_verb: str, _resource: str, _code: str, _seconds: float) -> None:
    """Let a request pass unseen."""


class Transport:
    """Connections to one API server: a bounded pool for requests, as many as needed for watches."""

    def __init__(
        self,
        access: Access,
        *,
        connections: int,
        observe: RequestObserver = unobserved,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        fence: Fence | None = None,
    ) -> None:
        self.server = access.server
        self._access = access
        self._connections = connections
        self._observe = observe
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._fence = fence
        self._requests: aiohttp.ClientSession
        self._streams: aiohttp.ClientSession

    def open(self) -> None:
        """Open the sessions. Call it inside a running loop."""
        self._requests = open_session(self._access, limit=self._connections)
        self._streams = open_session(self._access, limit=0)

    async def close(self) -> None:
        """Close every connection."""
        await self._requests.close()
        await self._streams.close()

    def fenced(self, fence: Fence) -> "Transport":
        """Return the same connections behind a fence."""
        fenced = copy.copy(self)
        fenced._fence = fence  # noqa: SLF001 - a copy of ourselves
        return fenced

    async def request(self, call: Call) -> bytes:
        """Send a request and return its answer's body. Answers that say when to come back are tried again, at most three times."""
        url, headers = call.url(self.server), call.headers()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            status, payload, retry_after = await self._attempt(call, url, headers)
            if status < 400:
                return payload
            if attempt == MAX_ATTEMPTS or retry_after is None or retry_after > MAX_RETRY_WAIT_SECONDS:
                raise _error(call, status, payload, retry_after)
            await asyncio.sleep(retry_after)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, call: Call, url: URL, headers: Mapping[str, str]) -> tuple[int, bytes, float | None]:
        seconds = self._allowed_seconds(call)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        started = self._clock()
        code = "unreachable"
        try:
            async with self._requests.request(call.method, url, data=call.body, headers=headers, timeout=timeout) as response:
                payload = await response.read()
                code = str(response.status)
                return response.status, payload, _retry_after(response)
        except TimeoutError as error:
            raise Unreachable(f"The API server at {self.server} did not answer within {seconds:.1f} s: {call}.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"The API server at {self.server} can't be reached: {call}: {error or type(error).__name__}.") from error
        finally:
            self._observe(call.verb, call.resource.plural, code, self._clock() - started)

    def _allowed_seconds(self, call: Call) -> float:
        seconds = call.timeout_seconds or self._timeout_seconds
        if self._fence is None or call.verb in _READS:
            return seconds
        left = self._fence.seconds_left()
        if left <= 0 or not self._fence.is_leader():
            raise NotLeader(f"Held back, as this process leads no longer: {call}.")
        return min(seconds, left)

    async def stream(self, call: Call, *, timeout_seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the answer's lines as they come. A server that doesn't end the stream in time is taken for dead."""
        timeout = aiohttp.ClientTimeout(total=timeout_seconds + _STREAM_GRACE_SECONDS, sock_connect=CONNECT_TIMEOUT_SECONDS)
        started = self._clock()
        code = "unreachable"
        try:
            async with self._streams.request(call.method, call.url(self.server), headers=call.headers(), timeout=timeout) as response:
                code = str(response.status)
                if response.status >= 400:
                    raise _error(call, response.status, await response.read(), _retry_after(response))
                async with aclosing(_lines(response.content)) as lines:
                    async for line in lines:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"The API server at {self.server} broke off: {call}: {error or type(error).__name__}.") from error
        finally:
            self._observe(call.verb, call.resource.plural, code, self._clock() - started)


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Split a stream into lines of any length (`StreamReader.readline` refuses long ones)."""
    pending = bytearray()
    async for chunk in content.iter_any():
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            if pending:
                pending += chunk[start:end]
                yield bytes(pending)
                pending.clear()
            else:
                yield chunk[start:end]
            start = end + 1
        pending += chunk[start:]
    if pending:
        yield bytes(pending)


def _error(call: Call, status: int, payload: bytes, retry_after: float | None) -> ApiError:
    return api_error(status, payload, what=str(call), retry_after=retry_after, sensitive=call.resource.sensitive)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that a 429 or 5xx asks to wait (the API server never sends the header's form with a date)."""
    header = response.headers.get("Retry-After", "")
    return float(header) if (response.status == 429 or response.status >= 500) and header.isdecimal() else None
