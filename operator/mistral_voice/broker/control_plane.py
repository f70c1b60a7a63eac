"""The way to the control plane: leases and keys over HTTPS, each request with a deadline and a few attempts."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
import msgspec

from mistral_voice.contract.lease import (
    KEYS_PATH,
    LEASES_PATH,
    RELEASE_PATH,
    RENEW_PATH,
    KeyOrders,
    KeySync,
    LeaseAnswer,
    LeaseGrant,
    LeaseReport,
    LeaseRequest,
    MessageError,
    Refusal,
    decode,
)
from mistral_voice.contract.secret import Secret
from mistral_voice.runtime import redirects
from mistral_voice.runtime.answers import whole_body
from mistral_voice.runtime.certificate import TrustedAuthorities
from mistral_voice.runtime.serving import KEPT_SECONDS

ATTEMPT_SECONDS: Final = 2.0
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.2
MAX_ANSWER_BYTES: Final = 256 * 1024

_log: Final = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class LedgerUnavailableError(Exception):
    """The control plane gave no usable answer in time; whether it heard us is unknown."""


class ControlPlane:
    """Requests to the control plane. Repeating any of them is harmless: amounts are cumulative, sessions and epochs have names."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str, token: Callable[[], Secret], authorities: TrustedAuthorities) -> None:
        self._http = http
        self._authorities = authorities
        self._base_url = base_url.rstrip("/")
        self._token = token

    async def lease(self, request: LeaseRequest) -> LeaseGrant | Refusal:
        """Ask for a lease. Raises LedgerUnavailableError."""
        return await self._ask(LEASES_PATH, request, LeaseAnswer)  # type: ignore[arg-type]

    async def renew(self, report: LeaseReport) -> LeaseGrant | Refusal:
        """Report usage and ask for more time. Raises LedgerUnavailableError."""
        return await self._ask(RENEW_PATH, report, LeaseAnswer)  # type: ignore[arg-type]

    async def release(self, report: LeaseReport) -> None:
        """Report the final usage and give the lease back. Raises LedgerUnavailableError."""
        await self._ask(RELEASE_PATH, report, None)

    async def sync_keys(self, sync: KeySync) -> KeyOrders:
        """Tell what was seen of keys, and get orders. Raises LedgerUnavailableError."""
        return await self._ask(KEYS_PATH, sync, KeyOrders)

    async def _ask(self, path: str, message: msgspec.Struct, kind: type[_Answer] | None) -> _Answer:
        body = msgspec.json.encode(message)
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    status, answer = await self._post(path, body)
                if status in (200, 201, 204, 409):
                    return None if kind is None else decode(answer, kind)  # type: ignore[return-value]
                trouble = f"it answered {status}"
                if status < 500 and status != 429:
                    break
            except TimeoutError:
                trouble = "it did not answer in time"
            except (aiohttp.ClientError, OSError) as error:
                trouble = f"it can't be reached ({type(error).__name__})"
            except MessageError as error:
                trouble = f"its answer is not understood: {error}"
                break
        _log.warning("The control plane is of no use for %s: %s.", path, trouble)
        raise LedgerUnavailableError(f"The control plane is not available: {trouble}.")

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token().reveal()}", "Content-Type": "application/json"}
        url, tls = self._base_url + path, self._authorities.context
        async with self._http.post(url, data=body, headers=headers, allow_redirects=False, ssl=tls) as answer:
            return answer.status, await whole_body(answer, MAX_ANSWER_BYTES)


class TokenFile:
    """A projected token, read anew each time: kubelet replaces it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Secret:
        """Return the token of the moment. Raises OSError if there is none."""
        return Secret(self._path.read_text(encoding="ascii").strip())


def open_http(ca_bundle_file: str | None, kept_seconds: float = KEPT_SECONDS) -> aiohttp.ClientSession:
    """Return an HTTP client without cookies, proxies, redirects or connection limits; `ca_bundle_file` replaces the system's roots.

    A connection that has served waits `kept_seconds` for the next request.
    """
    context: ssl.SSLContext | bool = True if ca_bundle_file is None else ssl.create_default_context(cafile=ca_bundle_file)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=kept_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        trace_configs=[redirects.none_followed()],
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )
