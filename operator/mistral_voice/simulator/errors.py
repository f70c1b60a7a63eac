"""Refusals, as Mistral words them."""

from collections.abc import Mapping
from typing import Any

from mistral_voice.simulator.dialect import Dialect, ErrorShape


class SimulatorError(Exception):
    """The root of this package's errors."""


class ApiError(SimulatorError):
    """A refusal that goes to the client as an HTTP answer: `status`, a JSON `body` and extra `headers`."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


class RealtimeError(SimulatorError):
    """A refusal that goes to the client of a realtime socket as an `error` event; `close_code` also closes the socket."""

    def __init__(self, message: str, code: int, close_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.close_code = close_code


CODE_TIMEOUT = 3804
"""Mistral's own code for "Timeout waiting for response from streaming transcription"."""
CODE_INVALID_MESSAGE = 3800
CODE_SETTINGS_LOCKED = 3801
CODE_AUDIO_TOO_LARGE = 3802
CODE_INVALID_SETTING = 3803
CODE_DURATION = 3805
"""The codes 3800 to 3805 other than 3804 are the simulator's own: Mistral documents none. A client must not depend on them."""
CODE_INVALID_MODEL = 1500

TIMEOUT_MESSAGE = "Timeout waiting for response from streaming transcription"


def error_object(message: str, error_type: str, code: str | None) -> dict[str, Any]:
    """Return the body `{"object": "error", …}`."""
    return {"object": "error", "message": message, "type": error_type, "param": None, "code": code}


def shaped(shape: ErrorShape, message: str, error_type: str, code: str | None, request_id: str) -> dict[str, Any]:
    """Return a refusal's body in the given shape."""
    match shape:
        case ErrorShape.DETAIL:
            return {"detail": message}
        case ErrorShape.MESSAGE:
            return {"message": message, "request_id": request_id}
        case ErrorShape.ERROR_OBJECT:
            return error_object(message, error_type, code)


def unauthorized(dialect: Dialect, request_id: str) -> ApiError:
    """Return the refusal of a missing, unknown or revoked key."""
    return ApiError(401, shaped(dialect.unauthorized, "Unauthorized", "unauthorized", None, request_id))


def forbidden(message: str) -> ApiError:
    """Return the refusal of a key that may not do this."""
    return ApiError(403, error_object(message, "forbidden", "1100"))


def not_found(message: str) -> ApiError:
    """Return the answer to a name that does not exist."""
    return ApiError(404, error_object(message, "not_found", "1404"))


def invalid_model(model: str, status: int = 400) -> ApiError:
    """Return the refusal of a model that does not exist, is retired, or can't do what is asked."""
    return ApiError(status, error_object(f"Invalid model: {model}", "invalid_model", str(CODE_INVALID_MODEL)))


def unprocessable(
    dialect: Dialect, location: tuple[str | int, ...], message: str, error_type: str = "value_error", given: Any = None
) -> ApiError:
    """Return a 422 about the field at `location`, with the value `given`."""
    if dialect.string_validation_detail:
        return ApiError(422, {"detail": f"{'.'.join(map(str, location))}: {message}"})
    return ApiError(422, {"detail": [{"type": error_type, "loc": list(location), "msg": message, "input": given}]})


def rate_limited(headers: Mapping[str, str]) -> ApiError:
    """Return a 429."""
    return ApiError(429, error_object("Rate limit exceeded", "rate_limited", "1300"), headers)
