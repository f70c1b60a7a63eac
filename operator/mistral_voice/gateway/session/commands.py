"""What a session wants done by those around it. Every command names the turn or reply it belongs to."""

from enum import StrEnum

from msgspec import Struct

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import ServerVad, Transcription
from mistral_voice.gateway.session.inputs import Usage
from mistral_voice.mistral.stream.chat_request import ChatRequest


class Detect(Struct, frozen=True):
    """Detect turns by these settings from now on; None: don't. What was detected under an older `epoch` is void.

    `position_ms` is where in the input audio detection begins, and with it audio of this format, if it is another one than before.
    `speaking`: the caller is speaking there, as a former detector has told, so that the end of that speech is to be told.
    """

    settings: ServerVad | None
    epoch: int
    position_ms: int
    audio_format: AudioFormat = AudioFormat.PCM
    speaking: bool = False


class Hear(Struct, frozen=True, gc=False):
    """Take in this audio: whole samples in the format that `Detect` named."""

    audio: bytes


class StartTurn(Struct, frozen=True):
    """Transcribe the input audio from this position on, as the turn of this item.

    With `end_timeout_ms` Mistral tells of the turn's end, at the latest after so much silence.
    """

    item_id: str
    from_ms: int
    transcription: Transcription
    end_timeout_ms: int | None = None


class RetryTurn(Struct, frozen=True):
    """Transcription has stalled: transcribe the turn anew, from its beginning."""

    item_id: str


class FinishTurn(Struct, frozen=True):
    """The turn's audio ends at this position; give its transcript."""

    item_id: str
    to_ms: int


class DropTurn(Struct, frozen=True):
    """Nothing of this turn is wanted any more."""

    item_id: str


class PrepareSpeech(Struct, frozen=True):
    """A spoken reply is likely soon; be ready to speak with this voice. No reply: it isn't known yet which it will be."""

    voice: str
    response_id: str | None = None


class StartReply(Struct, frozen=True):
    """Write this reply."""

    response_id: str
    request: ChatRequest


class Speculate(Struct, frozen=True):
    """Write this reply to words that are only presumed. It becomes a response without a further `StartReply`, or is dropped."""

    reply_id: str
    request: ChatRequest


class DropSpeculation(Struct, frozen=True):
    """Nothing of this reply is wanted."""

    reply_id: str


class Speculated(Struct, frozen=True):
    """A speculation has ended: None if the reply is used, else the tokens that were wasted."""

    wasted: Usage | None


class Speak(Struct, frozen=True):
    """Speak this text as the next segment of the reply; segments count from 0."""

    response_id: str
    segment: int
    text: str
    voice: str
    audio_format: AudioFormat = AudioFormat.PCM


class FinishSpeech(Struct, frozen=True):
    """The reply has no further segments."""

    response_id: str


class DropReply(Struct, frozen=True):
    """Nothing of this reply is wanted any more, neither text nor speech."""

    response_id: str


class Stage(StrEnum):
    """The stages of a turn's latency: its commit to its transcript, to the reply's first text, to its first audio; and all together."""

    TRANSCRIPT = "transcript"
    FIRST_TOKEN = "first_token"  # noqa: S105 - a token of text
    FIRST_AUDIO = "first_audio"
    TOTAL = "total"


class Guard(Struct, frozen=True):
    """From now on the caller hears the assistant, or no longer does: its echo is not to be taken for the caller's voice."""

    guarded: bool


class Outcome(StrEnum):
    """What a voice over the assistant's turned out to be."""

    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    RESUMED = "resumed"
    ECHO = "echo"


class BargedIn(Struct, frozen=True):
    """A voice was heard while the assistant spoke, and this came of it."""

    outcome: Outcome


class Measured(Struct, frozen=True):
    """A stage of a turn took so long."""

    stage: Stage
    milliseconds: float


class Happening(StrEnum):
    """What is worth counting: why a turn under semantic detection ended by its silence; a transcription that was begun anew; a limit."""

    TURN_EVENTS_MISSING = "turn_events_missing"
    TURN_UNNOTICED = "turn_unnoticed"
    TURN_EVENTS_STALLED = "turn_events_stalled"
    TRANSCRIPTION_STALLED = "transcription_stalled"
    TURNS_LIMITED = "turns_limited"
    OUT_OF_BAND_LIMITED = "out_of_band_limited"
    CALL_ROUNDS_LIMITED = "call_rounds_limited"


class Count(Struct, frozen=True):
    """Something worth counting happened."""

    happening: Happening


class EndReason(StrEnum):
    """Why a session ended."""

    CLIENT_CLOSED = "client_closed"
    EXPIRED = "expired"
    DRAINED = "drained"
    IDLE = "idle"
    SLOW_CONSUMER = "slow_consumer"
    TOO_MANY_FAULTS = "too_many_faults"
    MESSAGE_TOO_BIG = "message_too_big"
    ERROR = "error"


class EndSession(Struct, frozen=True):
    """Send what is due, then close the connection with this code of RFC 6455."""

    close_code: int
    reason: EndReason
    message: str


Command = (
    Detect
    | Hear
    | StartTurn
    | RetryTurn
    | FinishTurn
    | DropTurn
    | PrepareSpeech
    | StartReply
    | Speculate
    | DropSpeculation
    | Speculated
    | Speak
    | FinishSpeech
    | DropReply
    | Guard
    | BargedIn
    | Measured
    | Count
    | EndSession
)
