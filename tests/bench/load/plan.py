"""What the callers are told, and what they tell: types that both processes share."""

from enum import StrEnum
from typing import Any

from msgspec import Struct

FRAME_MS = 20
"""Callers send their audio in pieces of so long."""


class Wire(StrEnum):
    """How callers talk to the server."""

    REALTIME = "realtime"
    """The Realtime protocol: audio in base64 in JSON, 24 kHz."""
    PCM = "pcm"
    """Binary messages of PCM16 at 16 kHz both ways, and nothing else: the least that a WebSocket can carry."""


class Behaviour(StrEnum):
    """What callers do."""

    CONVERSE = "converse"
    """They say one utterance after another; each takes `share` of the time until the next."""
    INTERRUPT = "interrupt"
    """They wait for a reply, and say the next utterance somewhere in its middle."""
    LISTEN = "listen"
    """Their microphones are open and silent."""
    CHURN = "churn"
    """They converse for `turns_a_call` turns, hang up and call again."""


class Clip(Struct, frozen=True):
    """An utterance: a file of PCM16 at 24 kHz that begins with voice. `voice_ms` is where its last voiced frame ends."""

    path: str
    voice_ms: int


class Plan(Struct, frozen=True, kw_only=True):
    """What the callers do. `session` is sent as `session.update`; `share` is how much of the time a caller talks."""

    url: str
    token: str | None
    callers: int
    clips: tuple[Clip, ...]
    wire: Wire = Wire.REALTIME
    behaviour: Behaviour = Behaviour.CONVERSE
    session: dict[str, Any] = {}
    share: float = 0.4
    turns_a_call: int = 2
    connect_seconds: float = 5.0
    """The calls begin evenly within this time."""


class Turn(Struct, frozen=True):
    """One utterance and its reply, in milliseconds.

    `voice_ms`: from the last voiced frame that was sent to the first audio of the reply. `stop_ms`: from the frame that holds the position
    that the server gave as the turn's end (`audio_end_ms`) to the first audio. `was_cut`: the server replied while the caller spoke.
    """

    voice_ms: float | None = None
    stop_ms: float | None = None
    was_cut: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """What happened since `measure`. `bargein_ms`: from the first voiced frame sent to the last audio of the interrupted reply.

    `late_ms` is how late the callers' frames were at the 99th percentile, `cpu_percent` what the callers cost.
    """

    turns: tuple[Turn, ...]
    bargein_ms: tuple[float, ...]
    unanswered: int
    errors: tuple[str, ...]
    calls: int
    lost_calls: int
    late_ms: float
    cpu_percent: float


class Command(StrEnum):
    """What the callers' process reads, one a line."""

    MEASURE = "measure"
    """Forget what was measured so far."""
    REPORT = "report"
    """Print a Report."""
    REPLY = "reply"
    """Let every caller ask for a reply."""
    END = "end"
    """Hang up."""
