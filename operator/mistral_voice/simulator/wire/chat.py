"""Messages of chat completions."""

from typing import Any

import msgspec


class ContentChunk(msgspec.Struct, frozen=True):
    """A chunk of list content; only text and thinking are read."""

    type: str
    text: str | None = None


class FunctionCall(msgspec.Struct, frozen=True):
    """A function and its arguments."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class ToolCall(msgspec.Struct, frozen=True):
    """A tool call; an absent id stands as the string `null`, as in the official SDK."""

    function: FunctionCall
    id: str = "null"
    type: str = "function"
    index: int = 0


class Message(msgspec.Struct, frozen=True):
    """A message of a conversation."""

    role: str
    content: str | list[ContentChunk] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    prefix: bool = False

    def text(self) -> str:
        """Return the text of the content; thinking is none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(chunk.text or "" for chunk in self.content or () if chunk.type == "text")


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/chat/completions`; fields that change nothing here are not listed and pass."""

    model: str
    messages: list[Message]
    stream: bool = False
    max_tokens: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    reasoning_effort: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
