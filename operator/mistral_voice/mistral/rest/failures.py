"""From HTTP statuses and transport exceptions to MistralError."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from mistral_voice.mistral.errors import (
    ConnectionFailed,
    InvalidAnswer,
    MistralError,
    NameNotResolved,
    NoAnswerInTime,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    TlsFailed,
    Unauthorized,
)

LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
"""What an upstream asks for beyond this is taken as this."""
_DISCONNECTED: Final = ("Server disconnected", "peer closed connection")


def error_of_status(status: int, headers: Mapping[str, str], path: str) -> MistralError:
    """Return the error for a status that is not 200."""
    match status:
        case 401:
            return Unauthorized("Mistral does not accept the key (401).")
        case 403:
            return PermissionDenied(f"The key may not use {path} (403).")
        case 404 | 405:
            return NotFound(f"There is no {path} at this address ({status}).")
        case 408 | 504:
            return NoAnswerInTime(f"Mistral gave up on {path} itself ({status}).")
        case 429:
            return RateLimited("Mistral's rate limit for the key is reached (429).", retry_after_seconds(headers))
        case _ if status >= 500:
            return ServerTrouble(f"Mistral is in trouble: {path} answered {status}.", status, retry_after_seconds(headers))
        case _ if status >= 400:
            return RequestRefused(f"Mistral refused the request for {path} ({status}).")
        case _:
            return InvalidAnswer(f"{path} answered {status}, which Mistral's API never does: a proxy may stand between.")


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return what `Retry-After` asks for, in seconds or as a date; None if there is none that makes sense."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, min(seconds, LONGEST_RETRY_AFTER_SECONDS))


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what the HTTP client raises into a MistralError. Texts of the lower layers are left out: they may quote what was sent."""
    try:
        yield
    except httpx2.TimeoutException:
        raise NoAnswerInTime(f"{path} did not answer in time.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
        raise _of_transport(error, path) from None


def _of_transport(error: BaseException, path: str) -> MistralError:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TlsFailed(f"The certificate is not trusted: {cause.verify_message}.")
        if isinstance(cause, ssl.SSLError):
            return TlsFailed("There is no TLS connection to be had at this address.")
        if isinstance(cause, socket.gaierror):
            return NameNotResolved("The host name of the endpoint has no address.")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return ConnectionFailed("The connection was refused: nothing listens at this address.")
    if isinstance(error, httpx2.ConnectError):
        return ConnectionFailed("No connection can be made to this address.")
    if isinstance(error, httpx2.RemoteProtocolError) and not str(error).startswith(_DISCONNECTED):
        return InvalidAnswer(f"What {path} answered is not HTTP.")
    return ConnectionFailed(f"The connection broke before {path} had answered.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting.extend(inner for inner in (cause.__cause__, cause.__context__) if inner is not None)
