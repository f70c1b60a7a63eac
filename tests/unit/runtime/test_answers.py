"""An answer that comes in pieces is one answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from mistral_voice.runtime.answers import whole_body


@asynccontextmanager
async def answer_in_pieces() -> AsyncIterator[tuple[aiohttp.ClientResponse, asyncio.Event]]:
    """Yield an answer whose second half is sent once the event is set."""
    goes_on = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one ")
        await goes_on.wait()
        await answer.write(b"answer")
        return answer

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as answer:
            yield answer, goes_on
    finally:
        goes_on.set()
        await runner.cleanup()


async def test_all_pieces_are_waited_for() -> None:
    async with answer_in_pieces() as (answer, goes_on):
        reading = asyncio.create_task(whole_body(answer, 10))
        goes_on.set()
        assert await reading == b"one answer"


async def test_what_is_too_long_is_not_read_to_its_end() -> None:
    async with answer_in_pieces() as (answer, _):
        with pytest.raises(aiohttp.ClientPayloadError):
            await whole_body(answer, 3)
