"""`POST /v1/chat/completions`."""

import secrets
import string
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiohttp import web

from mistral_voice.simulator.call import Call
from mistral_voice.simulator.catalogue import Ability
from mistral_voice.simulator.errors import ApiError, error_object, invalid_model
from mistral_voice.simulator.messages import Strictness, refusal
from mistral_voice.simulator.script import ToolCallScript
from mistral_voice.simulator.streams import SseStream
from mistral_voice.simulator.temperament import Piece, Reply
from mistral_voice.simulator.wire.chat import ChatRequest
from mistral_voice.simulator.wire.usage import Usage, count_tokens, usage


async def complete(call: Call) -> web.StreamResponse:
    """Answer a conversation, as a stream or whole."""
    request: ChatRequest = call.decode(ChatRequest)
    _check(call, request)
    reply = await call.simulator.temperament.reply(request, call.script, call.session)
    answer = _Answer(call, request, reply)
    return await (answer.stream() if request.stream else answer.whole())


def _check(call: Call, request: ChatRequest) -> None:
    if call.simulator.catalogue.usable(request.model, Ability.CHAT) is None:
        raise invalid_model(request.model)
    dialect = call.simulator.dialect
    strictness = Strictness(dialect.user_after_tool_refused, dialect.nine_character_tool_call_ids, dialect.system_alone_refused)
    refused = refusal(request.messages, strictness)
    if refused is not None:
        raise ApiError(dialect.message_order_status, error_object(refused.message, refused.error_type, refused.code))


class _Answer:
    """One reply on its way out."""

    def __init__(self, call: Call, request: ChatRequest, reply: Reply) -> None:
        self._call = call
        self._request = request
        self._reply = _shortened(reply, request.max_tokens)
        self._id = secrets.token_hex(16)
        self._created = int(call.simulator.clock.wall().timestamp())
        self._started = call.simulator.clock.now()

    async def stream(self) -> web.StreamResponse:
        """Send the reply piece by piece, each at its time; the last chunk carries finish_reason and usage."""
        stream = SseStream(self._call)
        await stream.open()
        await stream.send(self._chunk({"role": "assistant", "content": ""}))
        for piece in self._reply.pieces:
            await self._wait(piece.at_ms)
            await stream.send(self._chunk({"content": self._content(piece)}))
        last: dict[str, Any] = {"content": ""}
        if any(call.pieces for call in self._reply.tool_calls):
            for number, delta in enumerate(_call_deltas(self._reply.tool_calls)):
                await self._wait(self._reply.tool_calls_at_ms + number * self._reply.token_ms)
                await stream.send(self._chunk({"content": "", "tool_calls": [delta]}))
        elif self._reply.tool_calls:
            await self._wait(self._reply.tool_calls_at_ms)
            last["tool_calls"] = _tool_calls(self._reply.tool_calls)
        total = self._usage()
        await stream.send({**self._chunk(last, self._reply.finish_reason), "usage": msgspec.to_builtins(total)})
        return await stream.close(b"[DONE]")

    async def whole(self) -> web.StreamResponse:
        """Send the reply at once, when its last piece is due."""
        await self._wait(max([self._reply.tool_calls_at_ms, *(piece.at_ms for piece in self._reply.pieces)]))
        text = "".join(piece.text for piece in self._reply.pieces)
        content: Any = text
        if self._reply.content_as_list or any(piece.thinking for piece in self._reply.pieces):
            content = [chunk for piece in self._reply.pieces for chunk in _chunks(piece)]
        message: dict[str, Any] = {"role": "assistant", "content": content, "tool_calls": None}
        if self._reply.tool_calls:
            message["tool_calls"] = _tool_calls(self._reply.tool_calls)
        return self._call.json(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._request.model,
                "choices": [{"index": 0, "message": message, "finish_reason": self._reply.finish_reason}],
                "usage": msgspec.to_builtins(self._usage()),
            }
        )

    async def _wait(self, at_ms: float) -> None:
        await self._call.simulator.clock.sleep_until(self._started + at_ms / 1000)

    def _content(self, piece: Piece) -> str | list[Any]:
        return _chunks(piece) if piece.thinking or self._reply.content_as_list else piece.text

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._request.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }

    def _usage(self) -> Usage:
        prompt = sum(count_tokens(message.text()) + 4 for message in self._request.messages)
        completion = sum(count_tokens(piece.text) + count_tokens(piece.thinking) for piece in self._reply.pieces) + 16 * len(
            self._reply.tool_calls
        )
        total = usage(prompt, completion)
        if self._call.key is not None:
            self._call.simulator.keys.add_tokens(self._call.key.domain, total.total_tokens)
        return total


def _shortened(reply: Reply, max_tokens: int | None) -> Reply:
    """Return the reply with at most `max_tokens` pieces."""
    if max_tokens is None or len(reply.pieces) <= max_tokens:
        return reply
    return Reply(reply.pieces[:max_tokens], finish_reason="length", content_as_list=reply.content_as_list)


def _chunks(piece: Piece) -> list[Any]:
    if piece.thinking:
        return [{"type": "thinking", "thinking": [{"type": "text", "text": piece.thinking}]}]
    return [{"type": "text", "text": piece.text}]


def _tool_calls(calls: Sequence[ToolCallScript]) -> list[Any]:
    return [_tool_call(call.id or _tool_call_id(), index, call.name, call.whole_arguments) for index, call in enumerate(calls)]


def _call_deltas(calls: Sequence[ToolCallScript]) -> Iterator[Any]:
    """Give the calls out piece by piece: id and name come with the first piece of each."""
    for index, call in enumerate(calls):
        first, *others = call.pieces or (call.arguments,)
        yield _tool_call(call.id or _tool_call_id(), index, call.name, first)
        for piece in others:
            yield _tool_call("null", index, "", piece)


def _tool_call(call_id: str, index: int, name: str, arguments: str) -> Any:
    return {"id": call_id, "type": "function", "index": index, "function": {"name": name, "arguments": arguments}}


def _tool_call_id() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(9))
