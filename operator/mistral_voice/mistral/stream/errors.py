"""What can go wrong between us and Mistral's streams: kinds that callers act on, and sentences for people."""

from enum import StrEnum

from mistral_voice.mistral.errors import MistralError


class FaultKind(StrEnum):
    """Why an upstream did not do its part."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    DISCONNECTED = "disconnected"
    GARBLED = "garbled"
    NO_CREDENTIAL = "no_credential"


class StreamError(MistralError):
    """A stream failed. The text is a sentence; it never quotes a key or what the upstream sent beyond a short reason."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def is_transient(self) -> bool:
        """Whether asking again at once may help."""
        return self.kind in (FaultKind.UNAVAILABLE, FaultKind.DISCONNECTED)


INVALID_MODEL = 1500
LARGEST_CODE = 99_999
"""A larger number is no code, and nothing to show."""

_SENTENCES = {
    401: (FaultKind.UNAUTHORIZED, "Mistral refused the integration's API key (401)."),
    403: (FaultKind.FORBIDDEN, "Mistral forbids this request for the integration's API key (403)."),
    404: (FaultKind.REJECTED, "Mistral doesn't know what was asked for (404): check the integration's model."),
    408: (FaultKind.TIMED_OUT, "Mistral gave up waiting for the request (408)."),
    429: (FaultKind.RATE_LIMITED, "Mistral's rate limit for the integration's key is reached (429)."),
}


def error_of_status(status: int, what: str) -> StreamError:
    """Return the error for an HTTP status that is no success; `what` names the request, such as `The reply`."""
    if status in _SENTENCES:
        kind, sentence = _SENTENCES[status]
    elif status >= 500:
        kind, sentence = FaultKind.UNAVAILABLE, f"Mistral is not available at the moment ({status})."
    else:
        kind, sentence = FaultKind.REJECTED, f"Mistral did not accept the request ({status})."
    return StreamError(kind, f"{what} failed: {sentence}")


def error_of_event(code: int | str | None, what: str) -> StreamError:
    """Return the error for an `error` event on a realtime socket.

    Codes from 400 to 599 are HTTP statuses, 1500 is an unknown model. The others are Mistral's own and undocumented; those that are seen in
    practice (3804, a time-out within the service) pass.
    """
    if isinstance(code, int) and 400 <= code < 600:
        return error_of_status(code, what)
    if code == INVALID_MODEL:
        return StreamError(FaultKind.REJECTED, f"{what} failed: Mistral doesn't know the model, or it can't do this.")
    shown = f" (code {code})" if isinstance(code, int) and 0 <= code <= LARGEST_CODE else ""
    return StreamError(FaultKind.UNAVAILABLE, f"{what} failed: Mistral reported an error{shown}.")
