"""What a session tells its client, in the session's own words; the protocol gives them their form on the wire."""

from enum import StrEnum

from msgspec import Struct

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import OutputModality, SessionConfig
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.inputs import Usage
from mistral_voice.gateway.session.items import Item, PartKind


class SessionView(Struct, frozen=True):
    """A session as its client sees it. `expires_at` in seconds since 1970."""

    id: str
    config: SessionConfig
    expires_at: int
    transcription_model: str


class SessionCreated(Struct, frozen=True):
    """The session begins."""

    session: SessionView


class SessionUpdated(Struct, frozen=True):
    """The settings have changed; these are in force."""

    session: SessionView


class ErrorOccurred(Struct, frozen=True):
    """Something that the client asked for was not done, or the session ends. `client_event_id` is the client's event at fault."""

    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    client_event_id: str | None = None


class SpeechStarted(Struct, frozen=True):
    """The caller speaks. The position includes the prefix padding."""

    item_id: str
    audio_start_ms: int


class SpeechStopped(Struct, frozen=True):
    """The caller has stopped. The position includes the silence."""

    item_id: str
    audio_end_ms: int


class IdleTimedOut(Struct, frozen=True):
    """The caller has been silent for as long as the client wished; this part of the input audio becomes a message."""

    item_id: str
    audio_start_ms: int
    audio_end_ms: int


class AudioCommitted(Struct, frozen=True):
    """The turn's audio is a user message now."""

    item_id: str
    previous_item_id: str | None


class AudioCleared(Struct, frozen=True):
    """The uncommitted audio is gone."""


class ItemAdded(Struct, frozen=True):
    """An item joined the conversation."""

    item: Item
    previous_item_id: str | None


class ItemDone(Struct, frozen=True):
    """An item is complete, or as complete as it will be."""

    item: Item
    previous_item_id: str | None


class ItemDeleted(Struct, frozen=True):
    """An item left the conversation."""

    item_id: str


class ItemRetrieved(Struct, frozen=True):
    """An item as the session knows it."""

    item: Item


class ItemTruncated(Struct, frozen=True):
    """What the caller did not hear of an item left the conversation."""

    item_id: str
    content_index: int
    audio_end_ms: int


class TranscriptionDelta(Struct, frozen=True):
    """More of what the caller said."""

    item_id: str
    delta: str


class TranscriptionCompleted(Struct, frozen=True):
    """What the caller said, and for how many seconds."""

    item_id: str
    transcript: str
    seconds: float


class TranscriptionFailed(Struct, frozen=True):
    """What the caller said could not be transcribed."""

    item_id: str
    fault: Fault


class ResponseStatus(StrEnum):
    """How a response stands or ended."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


class StopReason(StrEnum):
    """Why a response was cancelled or stayed incomplete."""

    TURN_DETECTED = "turn_detected"
    CLIENT_CANCELLED = "client_cancelled"
    MAX_OUTPUT_TOKENS = "max_output_tokens"
    CONTENT_FILTER = "content_filter"


class ResponseUsage(Struct, frozen=True):
    """Tokens of a response, as far as the upstreams have told them."""

    text: Usage = Usage()
    audio_tokens: int = 0


class ResponseView(Struct, frozen=True):
    """A response as its client sees it. `output` holds its items so far; `conversation_id` None: it is out of band."""

    id: str
    conversation_id: str | None
    status: ResponseStatus
    modality: OutputModality
    voice: str
    max_output_tokens: int | None
    metadata: dict[str, str] | None
    audio_format: AudioFormat = AudioFormat.PCM
    output: tuple[Item, ...] = ()
    reason: StopReason | None = None
    fault: Fault | None = None
    usage: ResponseUsage | None = None


class ResponseCreated(Struct, frozen=True):
    """A reply begins."""

    response: ResponseView


class ResponseDone(Struct, frozen=True):
    """A reply has ended, in whatever way. Sent exactly once for each that began."""

    response: ResponseView


class OutputItemAdded(Struct, frozen=True):
    """An item of the reply begins. Items count from 0 in the order of their beginning."""

    response_id: str
    item: Item
    output_index: int


class OutputItemDone(Struct, frozen=True):
    """An item of the reply is complete, or as complete as it will be."""

    response_id: str
    item: Item
    output_index: int


class ContentPartAdded(Struct, frozen=True):
    """The item's only part begins."""

    response_id: str
    item_id: str
    kind: PartKind
    output_index: int


class ContentPartDone(Struct, frozen=True):
    """The item's part ends with this text."""

    response_id: str
    item_id: str
    kind: PartKind
    text: str
    output_index: int


class TextDelta(Struct, frozen=True):
    """More text of a written or spoken part."""

    response_id: str
    item_id: str
    kind: PartKind
    delta: str
    output_index: int


class TextDone(Struct, frozen=True):
    """The whole text of a written or spoken part."""

    response_id: str
    item_id: str
    kind: PartKind
    text: str
    output_index: int


class AudioDelta(Struct, frozen=True, gc=False):
    """More audio of a spoken part, in the response's format."""

    response_id: str
    item_id: str
    audio: bytes
    output_index: int


class AudioDone(Struct, frozen=True):
    """The audio of a spoken part has ended."""

    response_id: str
    item_id: str
    output_index: int


class ArgumentsDelta(Struct, frozen=True):
    """More of a function call's arguments."""

    response_id: str
    item_id: str
    call_id: str
    delta: str
    output_index: int


class ArgumentsDone(Struct, frozen=True):
    """The whole of a function call, or all that came of it."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str
    output_index: int


Event = (
    SessionCreated
    | SessionUpdated
    | ErrorOccurred
    | SpeechStarted
    | SpeechStopped
    | IdleTimedOut
    | AudioCommitted
    | AudioCleared
    | ItemAdded
    | ItemDone
    | ItemDeleted
    | ItemRetrieved
    | ItemTruncated
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | AudioDelta
    | AudioDone
    | ArgumentsDelta
    | ArgumentsDone
)
