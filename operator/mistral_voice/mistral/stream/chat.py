"""Chat completions, streamed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mistral_voice.mistral.stream.chat_request import ChatMessage, ChatRequest
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.sse import data_of_events

PATH = "/v1/chat/completions"
_WHAT = "The reply"


class ChatUsage(Struct, frozen=True):
    """Tokens of a completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class ChatText(Struct, frozen=True):
    """More text of the answer. Thinking is never among it."""

    text: str


class ChatEnd(Struct, frozen=True):
    """The answer is complete. `finish_reason` is Mistral's word: stop, length, error, tool_calls."""

    finish_reason: str
    usage: ChatUsage | None


async def stream_chat(client: StreamClient, request: ChatRequest) -> AsyncGenerator[ChatText | ChatEnd, None]:
    """Yield the answer as it is written; the last is always a ChatEnd. Raises StreamError, also if the stream breaks off in the middle."""
    body = _encoder.encode(
        _Body(
            model=request.model,
            messages=request.messages,
            prompt_cache_key=request.cache_key,
            max_tokens=request.max_tokens or msgspec.UNSET,
        )
    )
    finish_reason: str | None = None
    usage: ChatUsage | None = None
    async with client.post(PATH, body, _WHAT) as answer, aclosing(data_of_events(answer)) as events:
        async for data in events:
            if data == b"[DONE]":
                break
            chunk = _decoded(data)
            if chunk.error is not None or chunk.object == "error":
                raise StreamError(FaultKind.UNAVAILABLE, f"{_WHAT} failed: Mistral broke it off with an error.")
            usage = _usage(chunk.usage) or usage
            for choice in chunk.choices:
                if choice.delta is not None and (text := _text(choice.delta.content)):
                    yield ChatText(text)
                finish_reason = choice.finish_reason or finish_reason
    if finish_reason is None:
        raise StreamError(FaultKind.DISCONNECTED, f"{_WHAT} failed: Mistral cut it off in the middle.")
    yield ChatEnd(finish_reason, usage)


class _Body(Struct, frozen=True):
    model: str
    messages: tuple[ChatMessage, ...]
    prompt_cache_key: str
    stream: bool = True
    reasoning_effort: Literal["none"] = "none"
    max_tokens: int | msgspec.UnsetType = msgspec.UNSET


class _Content(Struct, frozen=True):
    type: str = ""
    text: Any = None


class _Delta(Struct, frozen=True):
    content: str | list[_Content] | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _CachedTokens(Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None


class _Chunk(Struct, frozen=True):
    object: str = ""
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Chunk)


def _decoded(data: bytes) -> _Chunk:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        raise StreamError(FaultKind.GARBLED, f"{_WHAT} failed: Mistral sent something that is no part of an answer.") from None


def _text(content: str | list[_Content] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if part.type == "text" and isinstance(part.text, str))


def _usage(usage: _Usage | None) -> ChatUsage | None:
    if usage is None:
        return None
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return ChatUsage(usage.prompt_tokens or 0, usage.completion_tokens or 0, cached or 0)
