"""Who holds a connection and asks nothing is let go; who waits for an answer is not."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from mistral_voice.runtime.serving import IDLE_SECONDS, KEPT_SECONDS, runner

DEADLINE_SECONDS = 90.0


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that lets nobody be idle for long, and takes longer than that for its answers."""

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return web.Response(text="here")

    app = web.Application()
    app.add_routes([web.get("/", slow)])
    served = runner(app, shutdown_seconds=1.0, idle_seconds=0.3)
    await served.setup()
    try:
        await web.TCPSite(served, "127.0.0.1", 0).start()
        yield served.addresses[0][1]
    finally:
        await served.cleanup()


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: "], ids=["nothing", "half a line", "half a head"])
async def test_a_request_that_does_not_come_is_not_waited_for(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await reader.read() == b""
    writer.close()


async def test_an_answer_may_take_longer_and_the_connection_is_closed_when_nothing_follows(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await reader.read()).endswith(b"here")
    writer.close()


def test_our_own_clients_let_go_first() -> None:
    assert KEPT_SECONDS < IDLE_SECONDS
