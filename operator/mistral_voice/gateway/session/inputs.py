"""All that can happen to a session: events of the client, the turn detector, the upstreams and the clock.

`event_id` is the client's own name for its event, given back in an error. Times in milliseconds; positions in the input audio count from
the session's first sample.
"""

from msgspec import UNSET, Struct

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import OutputModality, Patched, SessionPatch
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.items import Item
from mistral_voice.mistral.stream.chat_request import ChatTool, ToolChoice
from mistral_voice.mistral.stream.turn_events import TurnSign


class UpdateSession(Struct, frozen=True):
    """The client changes settings."""

    patch: SessionPatch
    event_id: str | None = None


class AppendAudio(Struct, frozen=True):
    """The client sends audio in the format of its session, any number of bytes."""

    audio: bytes
    event_id: str | None = None


class CommitAudio(Struct, frozen=True):
    """The client ends its turn."""

    event_id: str | None = None


class ClearAudio(Struct, frozen=True):
    """The client takes its uncommitted audio back."""

    event_id: str | None = None


class CreateItem(Struct, frozen=True):
    """The client adds an item. An empty id asks for one of ours; `after` is the item it follows, None for the end."""

    item: Item
    after: str | None = None
    event_id: str | None = None


class DeleteItem(Struct, frozen=True):
    """The client deletes an item."""

    item_id: str
    event_id: str | None = None


class RetrieveItem(Struct, frozen=True):
    """The client asks for an item as the session knows it."""

    item_id: str
    event_id: str | None = None


class TruncateItem(Struct, frozen=True):
    """The client has played only so much of a spoken item."""

    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: str | None = None


class ItemReference(Struct, frozen=True):
    """An item of the conversation, by its id."""

    id: str


class ResponseOptions(Struct, frozen=True):
    """What one response does otherwise than the session. None or UNSET: as the session does.

    `input` takes the conversation's place as what the model reads. `out_of_band`: the conversation doesn't learn of the response.
    """

    instructions: str | None = None
    output: OutputModality | None = None
    max_output_tokens: Patched[int] = UNSET
    voice: str | None = None
    output_format: AudioFormat | None = None
    metadata: dict[str, str] | None = None
    tools: tuple[ChatTool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    input: tuple[Item | ItemReference, ...] | None = None
    out_of_band: bool = False


class CreateResponse(Struct, frozen=True):
    """The client asks for a reply."""

    options: ResponseOptions = ResponseOptions()
    event_id: str | None = None


class CancelResponse(Struct, frozen=True):
    """The client stops a reply; `response_id` None means the live one."""

    response_id: str | None = None
    event_id: str | None = None


class VoiceSuspected(Struct, frozen=True):
    """The detector heard a first voiced frame: the caller may be beginning. A dismissal or a start follows."""

    epoch: int


class VoiceDismissed(Struct, frozen=True):
    """What the detector suspected was no speech."""

    epoch: int


class VoiceStarted(Struct, frozen=True):
    """The detector heard the caller begin at this position of the input audio. `epoch` is that of the settings it works by."""

    at_ms: int
    epoch: int


class VoiceStopped(Struct, frozen=True):
    """The detector has heard the agreed silence, which ends at this position."""

    at_ms: int
    epoch: int


class TurnEvent(Struct, frozen=True):
    """Mistral's own word on a turn, at this place of the turn's audio."""

    item_id: str
    sign: TurnSign
    at_ms: float


class TurnEventsMissing(Struct, frozen=True):
    """No turn events come for this turn: the transcription model has none."""

    item_id: str


class TranscriptDelta(Struct, frozen=True):
    """More of what the caller said in a turn."""

    item_id: str
    text: str


class TranscriptRestarted(Struct, frozen=True):
    """The turn is transcribed anew from its beginning; the text so far is void."""

    item_id: str


class TranscriptDone(Struct, frozen=True):
    """The whole of what the caller said; `text` None means: what the deltas gave."""

    item_id: str
    text: str | None = None


class TranscriptFailed(Struct, frozen=True):
    """The turn could not be transcribed."""

    item_id: str
    fault: Fault


class Usage(Struct, frozen=True):
    """Tokens of a reply as far as the upstreams have told them."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class ReplyText(Struct, frozen=True):
    """More of the reply's text."""

    response_id: str
    text: str


class ReplyCall(Struct, frozen=True):
    """More of a function call of the reply. Calls count from 0 as they begin; `name` comes with the first piece of each."""

    response_id: str
    call: int
    name: str
    arguments: str


class ReplyFinished(Struct, frozen=True):
    """The reply is written. `finish_reason` is the upstream's word: stop, tool_calls, length, error, content_filter."""

    response_id: str
    finish_reason: str
    usage: Usage | None = None


class ReplyFailed(Struct, frozen=True):
    """The reply's text broke off."""

    response_id: str
    fault: Fault


class SpeechAudio(Struct, frozen=True):
    """Audio of a segment of the reply, in the reply's format."""

    response_id: str
    segment: int
    audio: bytes


class SpeechFinished(Struct, frozen=True):
    """A segment has been spoken to its end; `audio_tokens` as the upstream counted them."""

    response_id: str
    segment: int
    audio_tokens: int = 0


class SpeechFailed(Struct, frozen=True):
    """The reply can't be spoken on."""

    response_id: str
    fault: Fault


class Tick(Struct, frozen=True):
    """Time has passed: the session's deadline has come."""


class ClientIdle(Struct, frozen=True):
    """Nothing has been exchanged with the client for too long."""


class Drain(Struct, frozen=True):
    """The gateway stops: finish the turn, within so many milliseconds, then close."""

    within_ms: float = 20_000.0


class EndsEarlier(Struct, frozen=True):
    """The session can't go on as long as it was told: new turns are taken until `in_ms` from now, then what is open is finished.

    `expires_at` is that moment for the client to know, in seconds since 1970; `within_ms` is for the finishing, `message` says why.
    """

    expires_at: int
    in_ms: float
    within_ms: float
    message: str


ClientInput = (
    UpdateSession
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | CreateItem
    | DeleteItem
    | RetrieveItem
    | TruncateItem
    | CreateResponse
    | CancelResponse
)
Input = (
    ClientInput
    | VoiceSuspected
    | VoiceDismissed
    | VoiceStarted
    | VoiceStopped
    | TurnEvent
    | TurnEventsMissing
    | TranscriptDelta
    | TranscriptRestarted
    | TranscriptDone
    | TranscriptFailed
    | ReplyText
    | ReplyCall
    | ReplyFinished
    | ReplyFailed
    | SpeechAudio
    | SpeechFinished
    | SpeechFailed
    | Tick
    | ClientIdle
    | Drain
    | EndsEarlier
)
