"""Who is let in, and how others are turned away."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway import TOKEN, GatewayHandle, RealtimeClient, replace_file, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.waiting import eventually


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
async def test_without_the_token_nobody_gets_in(gateway: GatewayHandle, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(gateway.websocket_url, headers=headers)
        assert refused.value.status == 401
        async with http.get(gateway.base_url + "/v1/realtime", headers=headers) as answer:
            error = (await answer.json())["error"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert error["code"] == "invalid_api_key"
    assert "Authorization: Bearer" in error["message"]
    assert await gateway.metric("connections_refused_total", reason="unauthorized") == 2


async def test_a_browser_brings_its_token_as_a_subprotocol(gateway: GatewayHandle) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(gateway.websocket_url, protocols=("realtime", f"openai-insecure-api-key.{TOKEN}")) as socket,
    ):
        assert socket.protocol == "realtime"
        await RealtimeClient(socket).until("session.created")


async def test_a_rotated_token_overlaps_with_its_predecessor(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        replace_file(gateway.files.tokens / "token", "client-token-0002")
        replace_file(gateway.files.tokens / "previousToken", TOKEN)
        async with gateway.connect("client-token-0002"), gateway.connect(TOKEN):
            pass
        replace_file(gateway.files.tokens / "previousToken", "client-token-0002")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with gateway.connect(TOKEN):
                pass
        await client.send("response.create")
        await client.until("response.done")


async def test_the_port_explains_itself(gateway: GatewayHandle) -> None:
    status, text = await gateway.get("/")
    assert status == 200
    assert "/v1/realtime" in text
    for path in ("/v1/models", "/favicon.ico", "/v1/realtime/"):
        status, text = await gateway.get(path)
        assert status == 404
        assert json.loads(text)["error"]["code"] == "not_found"
    status, text = await gateway.get("/v1/realtime", headers={"Authorization": f"Bearer {TOKEN}"})
    assert status == 426
    assert "WebSocket" in text


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("POST", "/v1/realtime/sessions", 404, "Ask for a client secret by POST /v1/realtime/client_secrets"),
        ("POST", "/v1/realtime/transcription_sessions", 404, "`session.type` may be transcription"),
        ("POST", "/v1/realtime/calls", 404, "connect by WebSocket to /v1/realtime"),
        ("POST", "/v1/realtime/calls/rtc_1/accept", 404, "connect by WebSocket to /v1/realtime"),
        ("GET", "/v1/realtime/client_secrets", 405, "by POST /v1/realtime/client_secrets, with the integration's token"),
        ("POST", "/v1/realtime?model=gpt-realtime", 405, "connect by WebSocket to /v1/realtime"),
        ("GET", "/v1/realtime/", 404, "The path is /v1/realtime, without a slash"),
        ("GET", "/v1/models", 404, "Voice sessions are at /v1/realtime"),
    ],
)
async def test_who_has_lost_the_way_is_told_it(gateway: GatewayHandle, method: str, path: str, status: int, sentence: str) -> None:
    async with aiohttp.ClientSession() as http, http.request(method, gateway.base_url + path) as answer:
        error = (await answer.json())["error"]
    assert answer.status == status
    assert sentence in error["message"]
    assert error["code"] == ("method_not_allowed" if status == 405 else "not_found")
    assert answer.headers.get("Allow") == ({"GET": "POST", "POST": "GET"}[method] if status == 405 else None)


async def test_a_plain_request_tells_why_a_handshake_is_refused(gateway: GatewayHandle) -> None:
    """Many WebSocket libraries, a browser's above all, hide the answer's body."""
    status, text = await gateway.get("/v1/realtime?model=mistral-huge", headers={"Authorization": f"Bearer {TOKEN}"})
    error = json.loads(text)["error"]
    assert (status, error["code"], error["param"]) == (403, "model_not_allowed", "model")
    assert "it offers mistral-medium-latest" in error["message"]


async def test_one_session_too_many_is_refused_with_a_sentence(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, max_sessions=1) as gateway:
        async with gateway.connect():
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with gateway.connect():
                    pass
            assert refused.value.status == 503
            assert refused.value.headers is not None
            assert refused.value.headers["Retry-After"] == "1"
            assert await gateway.metric("sessions") == 1
            assert await gateway.metric("limits_hit_total", limit="sessions") == 1
        await eventually(lambda: gateway.lifecycle is not None and gateway.lifecycle.session_count == 0, "the session's end")
        async with gateway.connect():
            pass


async def test_sessions_are_counted_while_they_last(gateway: GatewayHandle) -> None:
    async with gateway.connect(), gateway.connect():
        assert await gateway.metric("sessions", namespace="shop", integration="hello", mode="byok") == 2

    async def none_is_left() -> bool:
        return await gateway.metric("sessions") == 0

    await eventually(none_is_left, "the sessions' end")
    assert await gateway.metric("sessions_ended_total", reason="client_closed") == 2


async def test_no_task_outlives_its_session(gateway: GatewayHandle) -> None:
    await one_session_that_breaks_off(gateway)
    await eventually(lambda: gateway.lifecycle is not None and gateway.lifecycle.session_count == 0, "the session's end")
    before = len(asyncio.all_tasks())
    for _ in range(3):
        await one_session_that_breaks_off(gateway)
    await eventually(lambda: len(asyncio.all_tasks()) <= before, "the end of the sessions' tasks")


async def one_session_that_breaks_off(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
