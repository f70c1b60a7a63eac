"""What is asked of Mistral's chat completions."""

from typing import Literal

from msgspec import Struct


class ChatMessage(Struct, frozen=True):
    """One message of the list. Mistral wants the last one to be the user's or a tool's."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(Struct, frozen=True):
    """A streamed completion. `cache_key` lets the upstream reuse the beginning of a conversation it has read before."""

    model: str
    messages: tuple[ChatMessage, ...]
    cache_key: str
    max_tokens: int | None = None
