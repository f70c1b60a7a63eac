"""What can go wrong in a session, as values: refusals of a client's event, and faults of an upstream."""

from msgspec import Struct

from mistral_voice.mistral.stream.errors import FaultKind


class GatewayError(Exception):
    """Base of the gateway's errors."""


class Refused(GatewayError):
    """A client's event can't be done. The session goes on as if it had not been sent.

    `code` is one that clients act on, `param` the field at fault in the client's words.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class Fault(Struct, frozen=True):
    """One failure of an upstream: its kind, and a sentence for the client."""

    kind: FaultKind
    message: str

    @property
    def code(self) -> str:
        """The code that the client sees. It differs from those that speak of the client's own key."""
        return f"upstream_{self.kind.value}"
