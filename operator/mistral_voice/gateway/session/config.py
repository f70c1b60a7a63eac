"""A session's settings, and how a partial update changes them.

An update is a deep merge: what it leaves out stays, what it sets to null goes back to its default, and an update that asks for something
the integration refuses changes nothing at all.
"""

from enum import StrEnum
from typing import TypeAlias, TypeVar

from msgspec import UNSET, Struct, UnsetType, structs

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.mistral.stream.chat_request import ChatTool, ToolChoice, ToolMode

T = TypeVar("T")
Patched: TypeAlias = T | UnsetType | None
"""A field of an update: a new value, None for an explicit null, UNSET if the update doesn't name it."""


class SessionType(StrEnum):
    """What a session is for: a conversation, or the transcripts of what the caller says and nothing else."""

    REALTIME = "realtime"
    TRANSCRIPTION = "transcription"


class OutputModality(StrEnum):
    """What a reply is: speech with its transcript, or text alone."""

    AUDIO = "audio"
    TEXT = "text"


class Eagerness(StrEnum):
    """How soon a pause that may not be the end of the turn is taken for it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    AUTO = "auto"

    @property
    def end_timeout_ms(self) -> int:
        """The silence after which a turn ends even if its words seem to go on."""
        return _END_TIMEOUTS_MS[self]


class ServerVad(Struct, frozen=True):
    """Turns by voice activity. `threshold` is a probability; times in milliseconds.

    `prefix_padding_ms` of audio before the first voiced moment belong to the turn; it ends after `silence_duration_ms` without voice.
    After `idle_timeout_ms` without a word of the caller the assistant speaks again.
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Struct, frozen=True):
    """Turns by what is said: voice activity begins them, the transcription model's own turn events end them."""

    eagerness: Eagerness = Eagerness.AUTO
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad | None
"""How turns end; None is manual: the client commits."""


class TurnDetectionKind(StrEnum):
    """The kinds of turn detection, as clients name them."""

    SERVER_VAD = "server_vad"
    SEMANTIC_VAD = "semantic_vad"


def voice_activity(settings: TurnDetection) -> ServerVad | None:
    """Return by which settings voice is listened for. Under semantic detection: the defaults."""
    if isinstance(settings, SemanticVad):
        return ServerVad(create_response=settings.create_response, interrupt_response=settings.interrupt_response)
    return settings


class Transcription(Struct, frozen=True):
    """The client's wish to see what the caller said. `language` is a hint for the transcription model."""

    language: str | None = None


class SessionConfig(Struct, frozen=True):
    """What is in force in a session. `max_output_tokens` None: the model's own limit; `transcription` None: no transcription events."""

    model: str
    voice: str
    instructions: str = ""
    output: OutputModality = OutputModality.AUDIO
    max_output_tokens: int | None = None
    turn_detection: TurnDetection = None
    transcription: Transcription | None = None
    input_format: AudioFormat = AudioFormat.PCM
    output_format: AudioFormat = AudioFormat.PCM
    tools: tuple[ChatTool, ...] = ()
    tool_choice: ToolChoice = ToolMode.AUTO
    parallel_tool_calls: bool = True
    type: SessionType = SessionType.REALTIME


class TurnDetectionPatch(Struct, frozen=True):
    """A partial change of turn detection. `kind` UNSET or None: as it is, or `server_vad`. What belongs to the other kind has no effect."""

    kind: Patched[TurnDetectionKind] = UNSET
    threshold: Patched[float] = UNSET
    prefix_padding_ms: Patched[int] = UNSET
    silence_duration_ms: Patched[int] = UNSET
    idle_timeout_ms: Patched[int] = UNSET
    eagerness: Patched[Eagerness] = UNSET
    create_response: Patched[bool] = UNSET
    interrupt_response: Patched[bool] = UNSET


class TranscriptionPatch(Struct, frozen=True):
    """A partial change of the transcription settings."""

    language: Patched[str] = UNSET


class SessionPatch(Struct, frozen=True):
    """A partial change of a session, in the session's own words. Names of models and voices are still those the client sent."""

    model: Patched[str] = UNSET
    voice: Patched[str] = UNSET
    instructions: Patched[str] = UNSET
    output: Patched[OutputModality] = UNSET
    max_output_tokens: Patched[int] = UNSET
    turn_detection: Patched[TurnDetectionPatch] = UNSET
    transcription: Patched[TranscriptionPatch] = UNSET
    input_format: Patched[AudioFormat] = UNSET
    output_format: Patched[AudioFormat] = UNSET
    tools: Patched[tuple[ChatTool, ...]] = UNSET
    tool_choice: Patched[ToolChoice] = UNSET
    parallel_tool_calls: Patched[bool] = UNSET
    type: Patched[SessionType] = UNSET


def patched(present: T, change: Patched[T], default: T) -> T:
    """Return what a field becomes: itself, its default for an explicit null, or the new value."""
    if isinstance(change, UnsetType):
        return present
    return default if change is None else change


def merge(present: SessionConfig, patch: SessionPatch, defaults: SessionConfig) -> SessionConfig:
    """Return `present` with `patch` merged in. Model and voice names must have been resolved before. `defaults` are what null goes back to.

    Explicit null switches turn detection and transcription off; but a transcription session always transcribes, and nobody answers in it.
    """
    merged = SessionConfig(
        model=patched(present.model, patch.model, defaults.model),
        voice=patched(present.voice, patch.voice, defaults.voice),
        instructions=patched(present.instructions, patch.instructions, defaults.instructions),
        output=patched(present.output, patch.output, defaults.output),
        max_output_tokens=None if patch.max_output_tokens is None else patched(present.max_output_tokens, patch.max_output_tokens, None),
        turn_detection=_merge_turn_detection(present.turn_detection, patch.turn_detection),
        transcription=_merge_transcription(present.transcription, patch.transcription),
        input_format=patched(present.input_format, patch.input_format, defaults.input_format),
        output_format=patched(present.output_format, patch.output_format, defaults.output_format),
        tools=patched(present.tools, patch.tools, defaults.tools),
        tool_choice=patched(present.tool_choice, patch.tool_choice, defaults.tool_choice),
        parallel_tool_calls=patched(present.parallel_tool_calls, patch.parallel_tool_calls, defaults.parallel_tool_calls),
        type=patched(present.type, patch.type, defaults.type),
    )
    return merged if merged.type is SessionType.REALTIME else _listening_only(merged)


def _listening_only(config: SessionConfig) -> SessionConfig:
    detection = config.turn_detection
    if detection is not None:
        detection = structs.replace(detection, create_response=False, interrupt_response=False)
    return structs.replace(config, turn_detection=detection, transcription=config.transcription or Transcription())


def _merge_turn_detection(present: TurnDetection, patch: Patched[TurnDetectionPatch]) -> TurnDetection:
    if isinstance(patch, UnsetType):
        return present
    if patch is None:
        return None
    kind = _KINDS[patch.kind] if patch.kind else ServerVad if present is None else type(present)
    default = kind()
    values = {}
    for field in (known.name for known in structs.fields(kind)):
        usual = getattr(default, field)
        values[field] = patched(getattr(present, field, usual), getattr(patch, field), usual)
    return kind(**values)


def _merge_transcription(present: Transcription | None, patch: Patched[TranscriptionPatch]) -> Transcription | None:
    if isinstance(patch, UnsetType):
        return present
    if patch is None:
        return None
    return Transcription(language=patched((present or Transcription()).language, patch.language, None))


_KINDS: dict[TurnDetectionKind, type[ServerVad] | type[SemanticVad]] = {
    TurnDetectionKind.SERVER_VAD: ServerVad,
    TurnDetectionKind.SEMANTIC_VAD: SemanticVad,
}
_END_TIMEOUTS_MS = {Eagerness.LOW: 8000, Eagerness.MEDIUM: 4000, Eagerness.HIGH: 2000, Eagerness.AUTO: 4000}
