"""Conversation items on the wire, both ways."""

from typing import Any

from msgspec import Struct

from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.items import Item, ItemStatus, Message, Part, PartKind, Role

MAX_ID_CHARACTERS = 128


class WireContent(Struct, frozen=True):
    """A content part."""

    type: str = ""
    text: str | None = None
    transcript: str | None = None


class WireItem(Struct, frozen=True):
    """An item as a client sends it."""

    type: str
    id: str | None = None
    role: str | None = None
    content: list[WireContent] = []


_ALLOWED = {
    Role.SYSTEM: {"input_text": PartKind.INPUT_TEXT},
    Role.USER: {"input_text": PartKind.INPUT_TEXT},
    Role.ASSISTANT: {"output_text": PartKind.OUTPUT_TEXT, "text": PartKind.OUTPUT_TEXT},
}


def item_of(wire: WireItem) -> Item:
    """Return the item that a client adds; its id is empty if the client gives none. Raises Refused for what isn't to be had."""
    if wire.type in ("function_call", "function_call_output"):
        raise Refused("not_available", "Function calling is not available yet.", "item.type")
    if wire.type != "message":
        raise Refused("invalid_value", f"There is no item of the type {wire.type[:100]!r}.", "item.type")
    if wire.role not in tuple(Role):
        raise Refused("invalid_value", "`role` must be system, user or assistant.", "item.role")
    if wire.id is not None and not 0 < len(wire.id) <= MAX_ID_CHARACTERS:
        raise Refused("invalid_value", f"An item's `id` has 1 to {MAX_ID_CHARACTERS} characters.", "item.id")
    role = Role(wire.role)
    parts = tuple(_part_of(content, role, index) for index, content in enumerate(wire.content))
    return Message(wire.id or "", role, parts)


def _part_of(content: WireContent, role: Role, index: int) -> Part:
    place = f"item.content[{index}]"
    kind = _ALLOWED[role].get(content.type)
    if kind is None:
        if content.type in ("input_audio", "output_audio", "input_image"):
            raise Refused("not_available", f"Content of the type {content.type} is not available yet; send text.", f"{place}.type")
        allowed = " or ".join(_ALLOWED[role])
        raise Refused("invalid_value", f"Content of a {role.value} message has the type {allowed}.", f"{place}.type")
    if content.text is None:
        raise Refused("missing_required_parameter", "A text part needs `text`.", f"{place}.text")
    return Part(kind, content.text)


def wire_item(item: Item) -> dict[str, Any]:
    """Return an item as the client sees it. Audio itself is never sent again."""
    return {
        "id": item.id,
        "object": "realtime.item",
        "type": "message",
        "status": item.status.value,
        "role": item.role.value,
        "content": [_wire_part(part) for part in item.parts] if item.status is not ItemStatus.IN_PROGRESS else [],
    }


def _wire_part(part: Part) -> dict[str, Any]:
    if part.kind.is_audio:
        return {"type": part.kind.value, "transcript": part.text}
    return {"type": part.kind.value, "text": part.text or ""}
