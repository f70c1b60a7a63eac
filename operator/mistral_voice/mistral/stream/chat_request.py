"""What is asked of Mistral's chat completions."""

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Struct


class ChatCall(Struct, frozen=True):
    """A function call that the assistant made. Mistral wants an `id` of nine letters and digits; `arguments` is a JSON object as text."""

    id: str
    name: str
    arguments: str


class ChatMessage(Struct, frozen=True):
    """One message of the list. Mistral wants the last one to be the user's or a tool's.

    `images` are data URIs shown beside a user's text; `calls` are an assistant's; `call_id` is that of the call whose result a tool gives.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: tuple[str, ...] = ()
    calls: tuple[ChatCall, ...] = ()
    call_id: str | None = None


class ChatTool(Struct, frozen=True):
    """A function that the model may call. `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: msgspec.Raw


class ToolMode(StrEnum):
    """Whether the model may, must or must not call a function."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


class OneTool(Struct, frozen=True):
    """The model must call this function."""

    name: str


ToolChoice = ToolMode | OneTool


class ChatTools(Struct, frozen=True):
    """The functions that the model may call, and how it chooses among them."""

    tools: tuple[ChatTool, ...] = ()
    choice: ToolChoice = ToolMode.AUTO
    parallel: bool = True


class ChatRequest(Struct, frozen=True):
    """A streamed completion. `cache_key` lets the upstream reuse the beginning of a conversation it has read before."""

    model: str
    messages: tuple[ChatMessage, ...]
    cache_key: str
    max_tokens: int | None = None
    tools: ChatTools = ChatTools()
