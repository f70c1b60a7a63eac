"""Conversation items on the wire, both ways."""

from typing import Any

from msgspec import Struct

from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.inputs import ItemReference
from mistral_voice.gateway.session.items import FunctionCall, FunctionOutput, Item, ItemStatus, Message, Part, PartKind, Role

MAX_ID_CHARACTERS = 128
MAX_PARTS = 64
_IMAGES = ("data:image/png;base64,", "data:image/jpeg;base64,")


class WireContent(Struct, frozen=True):
    """A content part. The audio of an audio part is not read."""

    type: str = ""
    text: str | None = None
    transcript: str | None = None
    image_url: str | None = None


class WireItem(Struct, frozen=True):
    """An item as a client sends it, or a reference to one."""

    type: str
    id: str | None = None
    role: str | None = None
    content: list[WireContent] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None


_ALLOWED = {
    Role.SYSTEM: {"input_text": PartKind.INPUT_TEXT},
    Role.USER: {"input_text": PartKind.INPUT_TEXT, "input_audio": PartKind.INPUT_AUDIO, "input_image": PartKind.INPUT_IMAGE},
    Role.ASSISTANT: {
        "output_text": PartKind.OUTPUT_TEXT,
        "output_audio": PartKind.OUTPUT_AUDIO,
        "text": PartKind.OUTPUT_TEXT,
        "audio": PartKind.OUTPUT_AUDIO,
    },
}


def item_of(wire: WireItem, place: str = "item") -> Item:
    """Return the item that a client adds; ids that the client doesn't give are empty. Raises Refused for what isn't to be had."""
    if wire.id is not None and not 0 < len(wire.id) <= MAX_ID_CHARACTERS:
        raise Refused("invalid_value", f"An item's `id` has 1 to {MAX_ID_CHARACTERS} characters.", f"{place}.id")
    if wire.call_id is not None and len(wire.call_id) > MAX_ID_CHARACTERS:
        raise Refused("invalid_value", f"A `call_id` has at most {MAX_ID_CHARACTERS} characters.", f"{place}.call_id")
    match wire.type:
        case "message":
            return _message_of(wire, place)
        case "function_call":
            name = _given(wire.name, "name", place)
            return FunctionCall(wire.id or "", wire.call_id or "", name, _given(wire.arguments, "arguments", place))
        case "function_call_output":
            call_id = _given(wire.call_id, "call_id", place)
            return FunctionOutput(wire.id or "", call_id, _given(wire.output, "output", place))
        case _:
            raise Refused("invalid_value", f"There is no item of the type {wire.type[:100]!r}.", f"{place}.type")


def item_or_reference_of(wire: WireItem, place: str) -> Item | ItemReference:
    """Return an item of a response's own input. Raises Refused for what isn't to be had."""
    if wire.type == "item_reference":
        return ItemReference(_given(wire.id, "id", place))
    return item_of(wire, place)


def _given(value: str | None, field: str, place: str) -> str:
    if value is None:
        raise Refused("missing_required_parameter", f"The item needs `{field}`.", f"{place}.{field}")
    return value


def _message_of(wire: WireItem, place: str) -> Message:
    if wire.role not in tuple(Role):
        raise Refused("invalid_value", "`role` must be system, user or assistant.", f"{place}.role")
    role = Role(wire.role)
    contents = wire.content or []
    if len(contents) > MAX_PARTS:
        raise Refused("invalid_value", f"A message has at most {MAX_PARTS} parts of content.", f"{place}.content")
    parts = tuple(_part_of(content, role, f"{place}.content[{index}]") for index, content in enumerate(contents))
    return Message(wire.id or "", role, parts)


def _part_of(content: WireContent, role: Role, place: str) -> Part:
    kind = _ALLOWED[role].get(content.type)
    if kind is None:
        allowed = " or ".join(kind for kind in _ALLOWED[role] if "_" in kind)
        raise Refused("invalid_value", f"Content of a message whose role is {role.value} has the type {allowed}.", f"{place}.type")
    if kind.is_audio:
        return Part(kind, content.transcript)
    if kind is PartKind.INPUT_IMAGE:
        if content.image_url is None or not content.image_url.startswith(_IMAGES):
            raise Refused("invalid_value", "An image is a data URI of a PNG or a JPEG, in base64.", f"{place}.image_url")
        return Part(kind, image_url=content.image_url)
    if content.text is None:
        raise Refused("missing_required_parameter", "A text part needs `text`.", f"{place}.text")
    return Part(kind, content.text)


def wire_item(item: Item) -> dict[str, Any]:
    """Return an item as the client sees it. Audio and images are never sent again."""
    wire: dict[str, Any] = {"id": item.id, "object": "realtime.item", "status": item.status.value}
    match item:
        case Message():
            content = [_wire_part(part) for part in item.parts] if item.status is not ItemStatus.IN_PROGRESS else []
            return {**wire, "type": "message", "role": item.role.value, "content": content}
        case FunctionCall():
            return {**wire, "type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        case FunctionOutput():
            return {**wire, "type": "function_call_output", "call_id": item.call_id, "output": item.output}


def _wire_part(part: Part) -> dict[str, Any]:
    if part.kind.is_audio:
        return {"type": part.kind.value, "transcript": part.text}
    if part.kind is PartKind.INPUT_IMAGE:
        return {"type": part.kind.value}
    return {"type": part.kind.value, "text": part.text or ""}
