"""Nobody is sent elsewhere, with a key in hand or not."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from mistral_voice.broker.control_plane import open_http as open_brokers
from mistral_voice.mistral.stream.client import open_http

KINDS = {kind.status_code: kind for kind in (web.HTTPMovedPermanently, web.HTTPFound, web.HTTPSeeOther, web.HTTPTemporaryRedirect)}


@asynccontextmanager
async def open_gateways(ca_bundle_file: None) -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http(ca_bundle_file) as http:
        yield http.sockets


@asynccontextmanager
async def server(status: int, visits: list[str]) -> AsyncIterator[str]:
    """Serve redirects from `/from` to `/to`, and note who comes there."""

    async def elsewhere(request: web.Request) -> web.Response:
        raise KINDS[status]("/to")

    async def arrived(request: web.Request) -> web.StreamResponse:
        visits.append(request.headers.get("Authorization", ""))
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse()
        await socket.prepare(request)
        return socket

    app = web.Application()
    app.router.add_get("/from", elsewhere)
    app.router.add_get("/to", arrived)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", sorted(KINDS))
@pytest.mark.parametrize("opened", [open_brokers, open_gateways], ids=["broker", "gateway"])
async def test_a_websockets_handshake_is_not_led_elsewhere(
    status: int, opened: Callable[[None], AbstractAsyncContextManager[aiohttp.ClientSession]]
) -> None:
    visits: list[str] = []
    async with server(status, visits) as url, opened(None) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/from", headers={"Authorization": "Bearer key"})
    assert refused.value.status == status
    assert visits == []
