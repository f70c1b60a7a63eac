"""The body of a chat completion as gateways send it: all of it is known, so that nothing in it costs what is not counted.

Mistral's API takes more: tools that it runs itself, audio, documents and pictures by address. They have prices of their own, or lead
somewhere, and no gateway sends them.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mistral_voice.broker.metering import TOKENS_OF_PICTURE, estimated_tokens, tokens_of_text


class _Known(Struct, frozen=True, forbid_unknown_fields=True):
    """An object of which each field is known."""


class _Text(_Known, frozen=True, tag_field="type", tag="text"):
    text: str


class _Picture(_Known, frozen=True, tag_field="type", tag="image_url"):
    image_url: Annotated[str, Meta(pattern=r"^data:image/(png|jpeg);base64,")]


class _CalledFunction(_Known, frozen=True):
    name: str
    arguments: str


class _Call(_Known, frozen=True):
    id: str
    type: Literal["function"]
    function: _CalledFunction


class _Message(_Known, frozen=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Text | _Picture]
    tool_calls: list[_Call] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class _Function(_Known, frozen=True):
    name: str
    parameters: dict[str, Any]
    description: str = ""


class _Tool(_Known, frozen=True):
    type: Literal["function"]
    function: _Function


class _Named(_Known, frozen=True):
    name: str


class _OneTool(_Known, frozen=True):
    type: Literal["function"]
    function: _Named


class ChatBody(_Known, frozen=True):
    """What goes on to Mistral, written anew."""

    model: str
    messages: list[_Message]
    stream: bool
    prompt_cache_key: str | UnsetType = UNSET
    reasoning_effort: str | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    tools: list[_Tool] | UnsetType = UNSET
    tool_choice: Literal["auto", "none", "required"] | _OneTool | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET

    def estimated_tokens(self) -> int:
        """Return how many tokens it can have at most."""
        tools = 0 if self.tools is UNSET else estimated_tokens(msgspec.to_builtins(self.tools))
        return sum(map(_tokens, self.messages)) + tools


read_chat: Final = msgspec.json.Decoder(ChatBody).decode
"""Raises msgspec.DecodeError."""

_FRAME: Final = 8
"""More than a message takes beside its texts."""


def _tokens(message: _Message) -> int:
    parts = [_Text(message.content)] if isinstance(message.content, str) else message.content
    calls = () if message.tool_calls is UNSET else message.tool_calls
    texts = [part.text for part in parts if isinstance(part, _Text)]
    texts += [text for call in calls for text in (call.function.name, call.function.arguments)]
    pictures = sum(isinstance(part, _Picture) for part in parts)
    return sum(map(tokens_of_text, texts)) + pictures * TOKENS_OF_PICTURE + _FRAME * (1 + len(calls))
