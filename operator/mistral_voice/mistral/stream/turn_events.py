"""What Mistral's realtime transcription tells of turns."""

from enum import StrEnum

from msgspec import Struct


class TurnSign(StrEnum):
    """Mistral's turn events: somebody began to speak; the turn may be over; it was not; it is over."""

    START = "turn.start"
    EAGER_END = "turn.eager_end"
    RESUME = "turn.resume"
    END = "turn.end"


class TurnEvent(Struct, frozen=True):
    """A turn event, and where in the transcription's audio it lies."""

    sign: TurnSign
    at_ms: float
