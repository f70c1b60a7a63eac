"""Tools on the wire, both ways."""

import re
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, UnsetType

from mistral_voice.gateway.session.config import Patched
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.mistral.stream.chat_request import ChatTool, OneTool, ToolChoice, ToolMode

T = TypeVar("T")
Given: TypeAlias = T | UnsetType | None

MAX_DESCRIPTION = 10_000
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


class WireTool(Struct, frozen=True):
    """A function that a client offers."""

    type: str = "function"
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    function: msgspec.Raw = msgspec.Raw()
    """Where Chat Completions have name and parameters: not the Realtime protocol."""


class WireToolChoice(Struct, frozen=True):
    """`tool_choice` as an object."""

    type: str
    name: str | None = None


def tools_of(tools: Given[list[WireTool]], param: str) -> Patched[tuple[ChatTool, ...]]:
    """Return the functions that a client offers. Raises Refused for tools that are none."""
    if isinstance(tools, UnsetType) or tools is None:
        return tools
    return tuple(_tool_of(tool, f"{param}[{index}]") for index, tool in enumerate(tools))


def choice_of(choice: Given[str | WireToolChoice], param: str) -> Patched[ToolChoice]:
    """Return how the model is to choose among them."""
    if isinstance(choice, UnsetType) or choice is None:
        return choice
    if isinstance(choice, str):
        if choice not in tuple(ToolMode):
            raise Refused("invalid_value", '`tool_choice` must be auto, none, required or {"type": "function", "name": …}.', param)
        return ToolMode(choice)
    if choice.type != "function":
        raise Refused("not_available", "Only a function can be chosen; MCP servers are not to be had here.", f"{param}.type")
    if not choice.name:
        raise Refused("missing_required_parameter", "The function to choose needs a `name`.", f"{param}.name")
    return OneTool(choice.name)


def wire_tools(tools: tuple[ChatTool, ...]) -> list[dict[str, Any]]:
    """Return tools as a client sees them."""
    return [{"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in tools]


def wire_choice(choice: ToolChoice) -> str | dict[str, Any]:
    """Return a choice as a client sees it."""
    return {"type": "function", "name": choice.name} if isinstance(choice, OneTool) else choice.value


def _schema(written: bytes) -> bytes | None:
    """Return a schema as it is compared, shown and sent on, in one way of writing; None if it is no object."""
    try:
        schema = msgspec.json.decode(written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return msgspec.json.encode(schema) if isinstance(schema, dict) else None


def _tool_of(tool: WireTool, place: str) -> ChatTool:
    if tool.type != "function":
        raise Refused("not_available", f"A tool of the type {tool.type[:50]!r} is not to be had here; offer functions.", f"{place}.type")
    if tool.name is None and bytes(tool.function) not in (b"", b"null"):
        message = "`name`, `description` and `parameters` stand beside `type` here, not within `function` as in Chat Completions."
        raise Refused("invalid_value", message, f"{place}.name")
    if tool.name is None or not _NAME.fullmatch(tool.name):
        raise Refused("invalid_value", "A function's name has 1 to 64 letters, digits, underscores and dashes.", f"{place}.name")
    description = tool.description or ""
    if len(description) > MAX_DESCRIPTION:
        raise Refused("invalid_value", f"A description may have at most {MAX_DESCRIPTION} characters.", f"{place}.description")
    written = bytes(tool.parameters)
    if written in (b"", b"null"):
        return ChatTool(tool.name, description, _NO_PARAMETERS)
    schema = _schema(written)
    if schema is None:
        raise Refused("invalid_value", "`parameters` must be a JSON schema, an object.", f"{place}.parameters")
    return ChatTool(tool.name, description, msgspec.Raw(schema))
