"""Connections to Mistral: what has served one answer serves the next, for a new one costs a caller the time of two handshakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from aiohttp import web

from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.stream import chat
from mistral_voice.mistral.stream.chat import ChatEnd, ChatPiece, stream_chat
from mistral_voice.mistral.stream.chat_request import ChatMessage, ChatRequest
from mistral_voice.mistral.stream.client import MOST_LEFT_BYTES, Deadlines, StreamClient, open_http

REQUEST = ChatRequest("mistral-medium-latest", (ChatMessage("user", "Say something."),), "cache-1")
ANSWER = b'data: {"choices":[{"delta":{"content":"Hello."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Upstream:
    """Answers each completion alike; `more` comes after the last event. `asked_from`: the ports of the clients."""

    def __init__(self) -> None:
        self.asked_from: list[int] = []
        self.may_end = asyncio.Event()
        self.more = b""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.asked_from.append(request.transport.get_extra_info("peername")[1])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(ANSWER + self.more)
        await self.may_end.wait()
        return response

    async def socket(self, request: web.Request) -> web.StreamResponse:
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket


@asynccontextmanager
async def clients_of(upstream: Upstream) -> AsyncIterator[StreamClient]:
    app = web.Application()
    app.router.add_post(chat.PATH, upstream.answer)
    app.router.add_get("/socket", upstream.socket)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with open_http(None) as http:
            yield StreamClient(http, f"http://127.0.0.1:{runner.addresses[0][1]}", lambda: Secret("key-0001"), Deadlines())
    finally:
        upstream.may_end.set()
        await runner.cleanup()


async def read(client: StreamClient) -> list[ChatPiece]:
    async with aclosing(stream_chat(client, REQUEST)) as pieces:
        return [piece async for piece in pieces]


async def test_a_completion_has_the_connection_of_the_one_before_also_when_sockets_were_opened_between() -> None:
    upstream = Upstream()
    upstream.may_end.set()
    async with clients_of(upstream) as client:
        await read(client)
        async with client.socket("/socket", "The speech"):
            await read(client)
    assert len(set(upstream.asked_from)) == 1


async def test_the_end_of_an_answer_is_told_before_its_body_ends_and_its_connection_kept_once_it_does() -> None:
    upstream = Upstream()
    async with clients_of(upstream) as client:
        async with aclosing(stream_chat(client, REQUEST)) as pieces:
            told = [await anext(pieces), await anext(pieces)]
            upstream.may_end.set()
            assert [piece async for piece in pieces] == []
        assert isinstance(told[-1], ChatEnd)
        await read(client)
    assert len(set(upstream.asked_from)) == 1


async def test_an_answer_that_goes_on_after_its_end_loses_its_connection() -> None:
    upstream = Upstream()
    upstream.more = bytes(MOST_LEFT_BYTES + 1)
    async with clients_of(upstream) as client:
        assert isinstance((await read(client))[-1], ChatEnd)
        upstream.may_end.set()
        await read(client)
    assert len(set(upstream.asked_from)) == 2


async def test_an_answer_whose_body_does_not_end_is_complete_all_the_same() -> None:
    upstream = Upstream()
    async with clients_of(upstream) as client:
        assert isinstance((await read(client))[-1], ChatEnd)
