"""Events of the client: JSON text into inputs of the session.

Fields that are not named here are harmless and pass unread. What changes the meaning of an event and is not to be had is refused with a
sentence.
"""

from typing import Annotated, Any, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mistral_voice.gateway.protocol.items import WireItem, item_of, item_or_reference_of
from mistral_voice.gateway.protocol.misfits import misfit_of, unknown_event
from mistral_voice.gateway.protocol.nesting import MOST_LEVELS, nests_too_deeply
from mistral_voice.gateway.protocol.session_object import (
    WireFormat,
    WireSession,
    format_of,
    modality_of,
    patch_of,
    token_limit_of,
    voice_name_of,
)
from mistral_voice.gateway.protocol.tools import WireTool, WireToolChoice, choice_of, tools_of
from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.items import Item
from mistral_voice.mistral.stream.chat_request import OneTool, ToolMode

MAX_ID_CHARACTERS = 512
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY, MAX_METADATA_VALUE = 64, 512
"""Characters of a response's metadata."""
MAX_INPUT_ITEMS = 500
"""Items of a response's own input."""

T = TypeVar("T")
Id = Annotated[str, Meta(max_length=MAX_ID_CHARACTERS)]
"""A name that a client gives or repeats; it comes back in errors."""


class BadEventError(Refused):
    """A client's message that is no event, or one that can't be had. `event_id` is the client's own name for it, if it has one."""

    def __init__(self, code: str, message: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(code, message, param)
        self.event_id = event_id


class ClientEvent(Struct, frozen=True, tag_field="type"):
    """An event of the client."""

    event_id: Id | None = None


class SessionUpdate(ClientEvent, frozen=True, tag="session.update", kw_only=True):
    """Change settings."""

    session: WireSession


class AudioAppend(ClientEvent, frozen=True, tag="input_audio_buffer.append", kw_only=True):
    """Send audio."""

    audio: bytes


class AudioCommit(ClientEvent, frozen=True, tag="input_audio_buffer.commit"):
    """End the turn."""


class AudioClear(ClientEvent, frozen=True, tag="input_audio_buffer.clear"):
    """Take uncommitted audio back."""


class ItemCreate(ClientEvent, frozen=True, tag="conversation.item.create", kw_only=True):
    """Add an item."""

    item: WireItem
    previous_item_id: Id | None = None


class ItemDelete(ClientEvent, frozen=True, tag="conversation.item.delete", kw_only=True):
    """Delete an item."""

    item_id: Id


class ItemRetrieve(ClientEvent, frozen=True, tag="conversation.item.retrieve", kw_only=True):
    """Ask for an item."""

    item_id: Id


class ItemTruncate(ClientEvent, frozen=True, tag="conversation.item.truncate", kw_only=True):
    """Tell how much of a spoken item was played."""

    item_id: Id
    content_index: int
    audio_end_ms: int


class WireResponseOutput(Struct, frozen=True):
    """`response.audio.output`."""

    format: WireFormat | UnsetType | None = UNSET
    voice: Any = UNSET


class WireResponseAudio(Struct, frozen=True):
    """`response.audio`."""

    output: WireResponseOutput | UnsetType | None = UNSET


class WireResponse(Struct, frozen=True):
    """`response` of a `response.create`."""

    instructions: str | UnsetType | None = UNSET
    output_modalities: list[str] | UnsetType | None = UNSET
    max_output_tokens: int | str | UnsetType | None = UNSET
    audio: WireResponseAudio | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    conversation: str | UnsetType | None = UNSET
    input: list[WireItem] | UnsetType | None = UNSET
    tools: list[WireTool] | UnsetType | None = UNSET
    tool_choice: str | WireToolChoice | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET


class ResponseCreate(ClientEvent, frozen=True, tag="response.create"):
    """Ask for a reply."""

    response: WireResponse | None = None


class ResponseCancel(ClientEvent, frozen=True, tag="response.cancel"):
    """Stop a reply."""

    response_id: Id | None = None


class OutputAudioClear(ClientEvent, frozen=True, tag="output_audio_buffer.clear"):
    """WebRTC's own event."""


AnyClientEvent = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | ItemCreate
    | ItemDelete
    | ItemRetrieve
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
    | OutputAudioClear
)


class _Envelope(Struct, frozen=True):
    type: Any = None
    event_id: Any = None


_decoder = msgspec.json.Decoder(AnyClientEvent)
_envelope_decoder = msgspec.json.Decoder(_Envelope)
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in get_args(AnyClientEvent))


def decode(text: bytes) -> inputs.ClientInput:
    """Return the input that a client's message stands for. Raises BadEventError with a sentence, and the id of the client's event."""
    if nests_too_deeply(text):
        raise BadEventError("invalid_json", f"The message is nested too deeply: objects and lists have {MOST_LEVELS} levels at most.")
    try:
        event = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise _explained(text, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadEventError("invalid_json", "The message is not valid JSON.") from None
    try:
        return _input_of(event)
    except Refused as refusal:
        raise BadEventError(refusal.code, refusal.message, refusal.param, event.event_id) from None


def decode_audio(text: bytes | bytearray) -> bytes | None:
    """Return the audio of a message that appends some; None for all others, and for what can't be used: `decode` knows more of it."""
    try:
        event = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event.audio if type(event) is AudioAppend else None


def _explained(text: bytes, error: msgspec.ValidationError) -> BadEventError:
    try:
        envelope = _envelope_decoder.decode(text)
    except msgspec.DecodeError:
        return BadEventError("invalid_event", "The message must be a JSON object with a `type`.")
    event_id = envelope.event_id[:MAX_ID_CHARACTERS] if isinstance(envelope.event_id, str) else None
    if not isinstance(envelope.type, str):
        return BadEventError("missing_required_parameter", "The event has no `type`.", "type", event_id)
    if envelope.type not in _KNOWN:
        return BadEventError("unknown_event_type", unknown_event(envelope.type, _KNOWN), "type", event_id)
    misfit = misfit_of(error)
    return BadEventError(misfit.code, f"`{envelope.type}` can't be used: {misfit.message}", misfit.param, event_id)


def _input_of(event: AnyClientEvent) -> inputs.ClientInput:
    name = event.event_id
    match event:
        case AudioAppend(audio=audio):
            return inputs.AppendAudio(audio, name)
        case AudioCommit():
            return inputs.CommitAudio(name)
        case AudioClear():
            return inputs.ClearAudio(name)
        case SessionUpdate(session=session):
            return inputs.UpdateSession(patch_of(session), name)
        case ItemCreate(item=item, previous_item_id=previous):
            return inputs.CreateItem(item_of(item), previous, name)
        case ItemDelete(item_id=item_id):
            return inputs.DeleteItem(item_id, name)
        case ItemRetrieve(item_id=item_id):
            return inputs.RetrieveItem(item_id, name)
        case ItemTruncate(item_id=item_id, content_index=index, audio_end_ms=end_ms):
            return inputs.TruncateItem(item_id, index, end_ms, name)
        case ResponseCreate(response=response):
            return inputs.CreateResponse(_options_of(response or WireResponse()), name)
        case ResponseCancel(response_id=response_id):
            return inputs.CancelResponse(response_id, name)
        case OutputAudioClear():
            raise Refused("not_available", "`output_audio_buffer.clear` is for WebRTC; over a WebSocket, send `response.cancel`.", "type")


def _given(value: T | UnsetType | None) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _check_metadata(metadata: dict[str, str]) -> None:
    longest = max((len(key) for key in metadata), default=0), max((len(value) for value in metadata.values()), default=0)
    if len(metadata) > MAX_METADATA_PAIRS or longest[0] > MAX_METADATA_KEY or longest[1] > MAX_METADATA_VALUE:
        limits = f"{MAX_METADATA_PAIRS} pairs, keys of {MAX_METADATA_KEY} and values of {MAX_METADATA_VALUE} characters"
        raise Refused("invalid_value", f"`metadata` may have at most {limits}.", "response.metadata")


def _own_input(items: list[WireItem] | None) -> tuple[Item | inputs.ItemReference, ...] | None:
    if items is None:
        return None
    if len(items) > MAX_INPUT_ITEMS:
        raise Refused("invalid_value", f"`input` may have at most {MAX_INPUT_ITEMS} items.", "response.input")
    return tuple(item_or_reference_of(item, f"response.input[{index}]") for index, item in enumerate(items))


def _options_of(response: WireResponse) -> inputs.ResponseOptions:
    if response.conversation not in (UNSET, None, "auto", "none"):
        raise Refused("invalid_value", "`conversation` must be auto or none.", "response.conversation")
    metadata = response.metadata or None
    _check_metadata(metadata or {})
    output = response.audio.output if response.audio else UNSET
    choice = choice_of(response.tool_choice, "response.tool_choice")
    return inputs.ResponseOptions(
        instructions=response.instructions or None,
        output=modality_of(response.output_modalities, "response.output_modalities") or None,
        max_output_tokens=token_limit_of(response.max_output_tokens, "response.max_output_tokens"),
        voice=(voice_name_of(output.voice, "response.audio.output.voice") if output else None) or None,
        output_format=(format_of(output.format, "response.audio.output.format") if output else None) or None,
        metadata=metadata,
        tools=_given(tools_of(response.tools, "response.tools")),
        tool_choice=choice if isinstance(choice, ToolMode | OneTool) else None,
        parallel_tool_calls=_given(response.parallel_tool_calls),
        input=_own_input(_given(response.input)),
        out_of_band=response.conversation == "none",
    )
