"""The way to Mistral: connections, the base URL, and a credential that is asked for at each request and each new socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import aiohttp

from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.stream.errors import FaultKind, StreamError, error_of_status
from mistral_voice.mistral.stream.json_socket import JsonSocket
from mistral_voice.runtime import redirects

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest message that is taken from a realtime socket."""
KEPT_SECONDS = 30.0
"""A connection that has served waits so long for the next request: less than what lies between here and Mistral keeps an idle one."""
LEFT_SECONDS = 0.2
"""When all of an answer has been told, its body has so long to end, …"""
MOST_LEFT_BYTES = 16 * 1024
"""… and so many bytes: then its connection can serve again."""

_SOCKET_TIMEOUT = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=0.5)


@dataclass(frozen=True)
class Deadlines:
    """How long an upstream may take, in seconds: to accept a connection with its handshake, to send the next piece, to take ours.

    A piece is text, a call or audio: comments and events that say nothing of these don't count.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    write_seconds: float = 10.0

    @property
    def first_seconds(self) -> float:
        """How long the first piece of an answer may take, the connection included."""
        return self.connect_seconds + self.read_seconds


@dataclass(frozen=True)
class Route:
    """Where a request goes and with which key. `server_hostname` is what the certificate is for, if it isn't the base URL's host."""

    base_url: str
    credential: Secret
    server_hostname: str | None = None


@dataclass(frozen=True)
class Http:
    """The connections: those of `requests` serve one answer after another, those of `sockets` one socket each.

    They are kept apart because a socket's handshake would take a connection that the next request could have had at once.
    """

    requests: aiohttp.ClientSession
    sockets: aiohttp.ClientSession


class StreamClient:
    """Opens streams to Mistral. `credential` returns the key of the moment; it raises StreamError if there is none."""

    def __init__(self, http: Http, base_url: str, credential: Callable[[], Secret], deadlines: Deadlines = Deadlines()) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._credential = credential
        self._newest: Secret | None = None
        self._generation = 0
        self.deadlines = deadlines

    def generation(self) -> int:
        """Count the credentials: another number means another credential. Raises StreamError if there is none."""
        credential = self._credential()
        if credential != self._newest:
            self._newest = credential
            self._generation += 1
        return self._generation

    @asynccontextmanager
    async def post(self, path: str, body: bytes, what: str) -> AsyncIterator[aiohttp.StreamReader]:
        """POST JSON and yield the answer's body as it comes. Raises StreamError for all that is no success.

        Whoever leaves the context without an error has read all that there is to know of the answer.
        """
        with _translated(what):
            async with asyncio.timeout(self.deadlines.connect_seconds):
                route = await self.route(what)
        headers = {**_authorization(route), "Content-Type": "application/json", "Accept": "text/event-stream"}
        timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=self.deadlines.connect_seconds, sock_read=self.deadlines.read_seconds
        )
        with _translated(what):
            async with self._http.requests.post(
                route.base_url + path,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                server_hostname=route.server_hostname,
            ) as answer:
                if answer.status != 200:
                    raise error_of_status(answer.status, what)
                yield answer.content
                await _read_to_its_end(answer.content)

    @asynccontextmanager
    async def socket(self, path: str, what: str) -> AsyncIterator[JsonSocket]:
        """Open a realtime socket. Raises StreamError if it can't be opened; leaving the context closes it."""
        with _translated(what):
            async with asyncio.timeout(self.deadlines.connect_seconds):
                route = await self.route(what)
                opened = await self._http.sockets.ws_connect(
                    "ws" + route.base_url.removeprefix("http") + path,
                    headers=_authorization(route),
                    max_msg_size=MAX_MESSAGE_BYTES,
                    decode_text=False,
                    timeout=_SOCKET_TIMEOUT,
                    server_hostname=route.server_hostname,
                )
        try:
            yield JsonSocket(opened, what, route.credential, self.deadlines.write_seconds)
        finally:
            await opened.close()

    async def route(self, what: str) -> Route:  # noqa: ARG002 - for clients whose way there changes
        """Return the way of the moment. Raises StreamError, in the name of what is to be sent, if there is none."""
        return Route(self._base_url, self._credential())


def _authorization(route: Route) -> dict[str, str]:
    return {"Authorization": f"Bearer {route.credential.reveal()}"}


@asynccontextmanager
async def open_http(ca_bundle_file: str | None) -> AsyncIterator[Http]:
    """Yield connections without cookies, proxies, redirects or limits to their number; `ca_bundle_file` replaces the system's authorities.

    Raises OSError or ssl.SSLError if the bundle can't be used.
    """
    context: ssl.SSLContext | bool = True if ca_bundle_file is None else ssl.create_default_context(cafile=ca_bundle_file)
    async with _session(context) as requests, _session(context) as sockets:
        yield Http(requests, sockets)


def _session(context: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=KEPT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
        trace_configs=[redirects.none_followed()],
    )


async def _read_to_its_end(body: aiohttp.StreamReader) -> None:
    """Read what is left of a body, if its end comes soon: then the connection is kept, else it is closed."""
    left = MOST_LEFT_BYTES
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(LEFT_SECONDS):
            while left > 0 and (chunk := await body.readany()):
                left -= len(chunk)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except aiohttp.WSServerHandshakeError as error:
        raise error_of_status(error.status, what) from None
    except TimeoutError:
        raise StreamError(FaultKind.TIMED_OUT, f"{what} failed: Mistral did not answer in time.") from None
    except aiohttp.ClientConnectorCertificateError:
        raise StreamError(FaultKind.UNAVAILABLE, f"{what} failed: Mistral's TLS certificate is not trusted.") from None
    except aiohttp.ClientConnectionError:
        raise StreamError(FaultKind.DISCONNECTED, f"{what} failed: the connection to Mistral broke or could not be made.") from None
    except aiohttp.ClientPayloadError:
        raise StreamError(FaultKind.DISCONNECTED, f"{what} failed: Mistral cut the answer off.") from None
    except aiohttp.ClientError:
        raise StreamError(FaultKind.GARBLED, f"{what} failed: Mistral's answer was not understood.") from None
