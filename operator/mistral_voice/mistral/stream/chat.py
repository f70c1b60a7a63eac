"""Chat completions, streamed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mistral_voice.mistral.stream.chat_request import ChatMessage, ChatRequest, ChatTool, OneTool, ToolChoice
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.sse import data_of_events
from mistral_voice.mistral.stream.steady import steady
from mistral_voice.mistral.stream.token_count import token_count

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


class ChatCallPiece(Struct, frozen=True):
    """More of a function call. Calls count from 0 in the order of their beginning; `name` comes whole with the first piece of each."""

    number: int
    name: str
    arguments: str


class ChatEnd(Struct, frozen=True):
    """The answer is complete. `finish_reason` is Mistral's word: stop, length, error, tool_calls."""

    finish_reason: str
    usage: ChatUsage | None


ChatPiece = ChatText | ChatCallPiece | ChatEnd


def stream_chat(client: StreamClient, request: ChatRequest) -> AsyncGenerator[ChatPiece, None]:
    """Yield the answer as it is written; the last is always a ChatEnd.

    Raises StreamError, also if the stream breaks off in the middle, or brings nothing of the answer in time.
    """
    patience = client.deadlines
    return steady(_answer(client, request), patience.first_seconds, patience.read_seconds, _WHAT)


async def _answer(client: StreamClient, request: ChatRequest) -> AsyncGenerator[ChatPiece, None]:
    body = _encoder.encode(_body(request))
    calls = CallReader()
    finish_reason: str | None = None
    usage: ChatUsage | None = None
    async with client.post(PATH, body, _WHAT) as answer:
        async with aclosing(data_of_events(answer)) as events:
            async for data in events:
                if data == b"[DONE]":
                    break
                chunk = _decoded(data)
                if chunk.error is not None or chunk.object == "error":
                    raise StreamError(FaultKind.UNAVAILABLE, f"{_WHAT} failed: Mistral broke it off with an error.")
                usage = _usage(chunk.usage) or usage
                for choice in chunk.choices:
                    if choice.delta is not None:
                        if text := _text(choice.delta.content):
                            yield ChatText(text)
                        for piece in choice.delta.tool_calls or ():
                            yield calls.piece(piece)
                    finish_reason = choice.finish_reason or finish_reason
        if finish_reason is None:
            raise StreamError(FaultKind.DISCONNECTED, f"{_WHAT} failed: Mistral cut it off in the middle.")
        yield ChatEnd(finish_reason, usage)


class CallReader:
    """Tells the calls of an answer apart. A piece belongs to the call of its id; without one, to the newest call of its index."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._count = 0

    def piece(self, piece: "CallDelta") -> ChatCallPiece:
        """Return what a delta brings."""
        call_id = "" if piece.id in (None, "null") else str(piece.id)
        number = self._by_id.get(call_id) if call_id else self._by_index.get(piece.index or 0)
        begins = number is None
        if number is None:
            number = self._count
            self._count += 1
            self._by_index[piece.index or 0] = number
        if call_id:
            self._by_id[call_id] = number
        arguments = piece.function.arguments
        text = _encoder.encode(arguments).decode() if isinstance(arguments, dict) else arguments or ""
        return ChatCallPiece(number, (piece.function.name or "") if begins else "", text)


class _Body(Struct, frozen=True, omit_defaults=True):
    model: str
    messages: list[dict[str, Any]]
    prompt_cache_key: str
    stream: bool
    reasoning_effort: Literal["none"]
    max_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


def _body(request: ChatRequest) -> _Body:
    tools = request.tools
    return _Body(
        model=request.model,
        messages=[_wire_message(message) for message in request.messages],
        prompt_cache_key=request.cache_key,
        stream=True,
        reasoning_effort="none",
        max_tokens=request.max_tokens,
        tools=[_wire_tool(tool) for tool in tools.tools] or None,
        tool_choice=_wire_choice(tools.choice) if tools.tools else None,
        parallel_tool_calls=tools.parallel if tools.tools else None,
    )


def _wire_message(message: ChatMessage) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        texts = [{"type": "text", "text": message.content}] if message.content else []
        wire["content"] = [*texts, *({"type": "image_url", "image_url": image} for image in message.images)]
    if message.calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in message.calls
        ]
    if message.call_id is not None:
        wire["tool_call_id"] = message.call_id
    return wire


def _wire_tool(tool: ChatTool) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}}


def _wire_choice(choice: ToolChoice) -> str | dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, OneTool) else choice.value


class _Content(Struct, frozen=True):
    type: str = ""
    text: Any = None


class FunctionDelta(Struct, frozen=True):
    """Name and arguments, as far as they come with this piece."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallDelta(Struct, frozen=True):
    """A piece of a call on the wire."""

    function: FunctionDelta = FunctionDelta()
    id: str | None = None
    index: int | None = None


class _Delta(Struct, frozen=True):
    content: str | list[_Content] | None = None
    tool_calls: list[CallDelta] | None = None


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
    except (msgspec.DecodeError, RecursionError):
        raise StreamError(FaultKind.GARBLED, f"{_WHAT} failed: Mistral sent something that is no part of an answer.") from None


def _text(content: str | list[_Content] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if part.type == "text" and isinstance(part.text, str))


def _usage(usage: _Usage | None) -> ChatUsage | None:
    if usage is None:
        return None
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return ChatUsage(token_count(usage.prompt_tokens), token_count(usage.completion_tokens), token_count(cached))
