"""What can go wrong between us and the API server, as exceptions whose text is a sentence."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class KubeError(Exception):
    """The root of this package's errors."""


class Unreachable(KubeError):
    """The API server gave no usable answer: refused, reset, TLS failure, time-out. Whether a write took place is unknown."""


class NotLeader(KubeError):
    """A write was held back because this process leads no longer."""


class LeadershipLost(KubeError):
    """The lease could not be renewed in time, or another process holds it. The process ends: what it knows may be out of date."""


class ApiError(KubeError):
    """The API server answered with an error.

    `status` is the HTTP code, `reason` Kubernetes' CamelCase word for it, `message` the server's sentence, `details` those of its `Status`
    object. For kinds that carry credentials `message` and `details` are left empty: the server quotes values in them.
    """

    def __init__(
        self, status: int, reason: str, message: str, details: Mapping[str, Any], *, what: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"The API server refused to {what} ({status} {reason}){': ' + message if message else '.'}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        """Seconds that the server asks to wait before the next attempt, if it does."""


class Unauthorized(ApiError):
    """401: our credentials are not accepted."""


class Forbidden(ApiError):
    """403: a right is missing, or an admission rule such as a quota refuses."""


class NotFound(ApiError):
    """404: there is no such object, or no such kind."""


class Conflict(ApiError):
    """409: the object has another resourceVersion or UID than we thought, or other managers own fields that an apply without force sets."""


class AlreadyExists(ApiError):
    """409: the name is taken."""


class Gone(ApiError):
    """410: the resourceVersion or continue token is too old; list anew."""


class Invalid(ApiError):
    """422: the object breaks a rule of its kind."""


class TooManyRequests(ApiError):
    """429: the server asks us to slow down."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}
_REASONS: Final[Mapping[int, str]] = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests"}
_LONGEST_MESSAGE: Final = 2000


class _Status(msgspec.Struct):
    """The API server's `Status` object."""

    kind: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0
    details: dict[str, Any] = {}


def api_error(status: int, payload: bytes, *, what: str, retry_after: float | None = None, sensitive: bool = False) -> ApiError:
    """Return the exception for an error answer. `what` completes "refused to …", for example `create deployments team-a/x`."""
    try:
        answer = msgspec.json.decode(payload, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = _Status()
    if answer.kind != "Status":
        answer = _Status()
    status = answer.code or status
    reason = answer.reason or _REASONS.get(status, "Error")
    message, details = ("", {}) if sensitive else (answer.message[:_LONGEST_MESSAGE], answer.details)
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_STATUS.get(status, ApiError)
    return kind(status, reason, message, details or {}, what=what, retry_after=retry_after)
