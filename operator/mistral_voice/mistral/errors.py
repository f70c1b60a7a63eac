"""What can go wrong between us and Mistral's API. Texts are sentences; they quote neither a key nor anything that the upstream sent."""


class MistralError(Exception):
    """The root of this package's errors: those of single requests, below, and those of streams, in `stream`."""


class Unauthorized(MistralError):
    """401: Mistral does not accept the key."""


class PermissionDenied(MistralError):
    """403: the key is good and may not do this."""


class NotFound(MistralError):
    """404: Mistral does not know what was asked for."""


class RequestRefused(MistralError):
    """Another 4xx: Mistral does not take the request."""


class RateLimited(MistralError):
    """429. `retry_after_seconds` is what Mistral asked for, None if it did not say."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ServerTrouble(MistralError):
    """5xx: Mistral's own trouble, 503 for want of capacity among them. `retry_after_seconds` as for RateLimited."""

    def __init__(self, message: str, status: int, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class NoAnswerInTime(MistralError):
    """No answer before the deadline."""


class ConnectionFailed(MistralError):
    """No connection, or one that broke before the answer was complete."""


class NameNotResolved(ConnectionFailed):
    """The host name has no address."""


class TlsFailed(ConnectionFailed):
    """No trusted TLS connection: an unknown authority, a wrong host name, an expired certificate, or no TLS at all."""


class InvalidAnswer(MistralError):
    """What came is no answer of Mistral's API: a redirect, a web page, broken or oversized JSON, JSON of another shape."""
