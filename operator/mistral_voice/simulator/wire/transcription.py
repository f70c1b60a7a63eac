"""Messages of realtime transcription: names and fields as the official SDK has them."""

from typing import Any

import msgspec

from mistral_voice.simulator.wire.usage import Usage


class AudioFormat(msgspec.Struct, frozen=True):
    """How the client's audio is written."""

    encoding: str = "pcm_s16le"
    sample_rate: int = 16_000


class TurnDetection(msgspec.Struct, frozen=True):
    """The client's wishes for native turn detection, with the documented defaults."""

    start_threshold: float = 0.5
    eager_end_threshold: float = 0.5
    end_threshold: float = 0.33
    min_silence_ms: int = 500
    end_timeout_ms: int | None = 3000


class SessionPatch(msgspec.Struct, frozen=True):
    """What a `session.update` sets; UNSET is left as it is."""

    audio_format: AudioFormat | msgspec.UnsetType | None = msgspec.UNSET
    target_streaming_delay_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    diarize: bool | msgspec.UnsetType | None = msgspec.UNSET
    context_bias: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    language: str | msgspec.UnsetType | None = msgspec.UNSET
    speaker_references: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    turn_detection: TurnDetection | msgspec.UnsetType | None = msgspec.UNSET


class ClientMessage(msgspec.Struct, frozen=True, tag_field="type"):
    """A message from the client."""


class SessionUpdate(ClientMessage, frozen=True, tag="session.update"):
    """Set settings, before the first audio."""

    session: SessionPatch


class InputAudioAppend(ClientMessage, frozen=True, tag="input_audio.append"):
    """Audio in base64."""

    audio: str


class InputAudioFlush(ClientMessage, frozen=True, tag="input_audio.flush"):
    """Transcribe now what has come."""


class InputAudioEnd(ClientMessage, frozen=True, tag="input_audio.end"):
    """No more audio will come."""


AnyClientMessage = SessionUpdate | InputAudioAppend | InputAudioFlush | InputAudioEnd


class Session(msgspec.Struct, frozen=True):
    """The session's settings as the server tells them."""

    request_id: str
    model: str
    audio_format: AudioFormat = msgspec.field(default_factory=AudioFormat)
    target_streaming_delay_ms: int | None = None
    diarize: bool | None = None
    context_bias: list[str] | None = None
    language: str | None = None
    speaker_references: list[str] | None = None
    turn_detection: TurnDetection | None = None


class ServerEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """An event from the server."""


class SessionCreated(ServerEvent, frozen=True, tag="session.created"):
    """The socket is open."""

    session: Session


class SessionUpdated(ServerEvent, frozen=True, tag="session.updated"):
    """Settings were taken over."""

    session: Session


class Language(ServerEvent, frozen=True, tag="transcription.language"):
    """The language that was recognised."""

    audio_language: str


class TextDelta(ServerEvent, frozen=True, tag="transcription.text.delta"):
    """A further piece of transcript."""

    text: str


class Segment(ServerEvent, frozen=True, tag="transcription.segment"):
    """A stretch of transcript with its place in the audio, in seconds."""

    text: str
    start: float | None
    end: float | None
    speaker_id: str | None = None


class TurnStart(ServerEvent, frozen=True, tag="turn.start"):
    """Somebody began to speak."""

    time_s: float


class TurnEagerEnd(ServerEvent, frozen=True, tag="turn.eager_end"):
    """The turn may be over."""

    time_s: float


class TurnResume(ServerEvent, frozen=True, tag="turn.resume"):
    """The turn was not over."""

    time_s: float


class TurnEnd(ServerEvent, frozen=True, tag="turn.end"):
    """The turn is over; `end_reason` is threshold or timeout."""

    time_s: float
    end_reason: str = "threshold"


class DoneSegment(msgspec.Struct, frozen=True, tag_field="type", tag="transcription_segment"):
    """A segment within `transcription.done`."""

    text: str
    start: float | None
    end: float | None
    speaker_id: str | None = None


class Done(ServerEvent, frozen=True, tag="transcription.done"):
    """The whole transcript."""

    model: str
    text: str
    language: str | None
    usage: Usage
    segments: list[DoneSegment] = []


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str | dict[str, Any]
    code: int


class Error(ServerEvent, frozen=True, tag="error"):
    """A refusal or a failure."""

    error: ErrorDetail
