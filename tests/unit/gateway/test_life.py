"""A gateway's life: the sessions' longest time, slow readers, TLS, and an orderly end."""

import asyncio
import gc
import json
import signal
import ssl
import threading
import time
from pathlib import Path

import aiohttp
import pytest
import trustme

from mistral_voice.contract.gateway_config import encode
from mistral_voice.gateway.connection import Connection
from mistral_voice.gateway.outbound import Outbound
from mistral_voice.gateway.server import PING_SECONDS
from tests.support.gateway import (
    DEADLINE_SECONDS,
    GatewayFiles,
    GatewayHandle,
    RealtimeClient,
    gateway_config,
    gateway_process,
    running_gateway,
    start_gateway_process,
)
from tests.support.simulator import TEST_KEY, SimulatorHandle, running_simulator
from tests.support.speech import silence, speech
from tests.support.waiting import eventually
from tests.unit.gateway.conftest import MS_PER_CHARACTER, SCRIPT

QUESTION = "What is the capital of France?"
LONG_REPLY = {
    "chat": {"replies": [{"text": "It goes on and on for quite a while. " * 14, "token_ms": 20}]},
    "speech": {"ms_per_character": MS_PER_CHARACTER},
}


async def test_ended_sessions_are_cleared_away_though_the_collector_seldom_runs(gateway: GatewayHandle) -> None:
    def kept() -> int:
        return sum(type(thing) is Connection for thing in gc.get_objects())

    gc.collect()
    before = kept()
    gc.disable()
    try:
        for _ in range(2):
            async with gateway.connect() as client:
                await client.send("response.create", response={"output_modalities": ["text"]})
                await client.until("response.done")
        await eventually(lambda: kept() <= before, "the sessions to be gone")
    finally:
        gc.enable()


async def test_sessions_have_no_threads_of_their_own(gateway: GatewayHandle) -> None:
    async def one_spoken_turn() -> None:
        async with gateway.connect() as client:
            await client.say(speech(QUESTION) + silence(1000))
            await client.until("response.created")

    await one_spoken_turn()
    before = threading.active_count()
    async with asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(one_spoken_turn())
    assert threading.active_count() < before + 8


async def test_a_session_ends_at_its_longest_time_after_its_turn(mistral: SimulatorHandle, tmp_path: Path) -> None:
    await mistral.put_script(LONG_REPLY)
    began = time.time()
    async with running_gateway(mistral, tmp_path, max_seconds=1) as gateway, gateway.connect() as client:
        # Whole seconds, rounded either way.
        assert began <= client.session["expires_at"] <= time.time() + 2
        await client.send("response.create")
        code = await client.until_closed()
        assert code == 1000
        assert [event["response"]["status"] for event in client.all("response.done")] == ["completed"]
        error = client.events[-1]["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "session_expired")
        assert client.types.count("error") == 1
        assert await gateway.metric("sessions_ended_total", reason="expired") == 1


async def test_a_client_that_does_not_read_is_cut_off(mistral: SimulatorHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mistral_voice.gateway.connection.Outbound", lambda write: Outbound(write, 2_000_000))
    async with running_gateway(mistral, tmp_path) as gateway, gateway.connect() as neighbour:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.base_url.rpartition(":")[2]), limit=1024)
        writer.write(handshake(gateway.token))
        assert b"101" in await reader.readline()
        content = [{"type": "input_text", "text": "A very long message. " * 15_000}]
        item = {"type": "message", "role": "user", "id": "long", "content": content}
        writer.write(masked_frame(json.dumps({"type": "conversation.item.create", "item": item})))
        writer.write(masked_frame('{"type":"conversation.item.retrieve","item_id":"long"}') * 60)

        async def it_is_cut_off() -> bool:
            return await gateway.metric("sessions_ended_total", reason="slow_consumer") == 1

        await eventually(it_is_cut_off, "the end of the slow reader")
        assert await gateway.metric("limits_hit_total", limit="outbound_bytes") == 1
        await neighbour.update(instructions="Still there?")
        writer.close()


def handshake(token: str) -> bytes:
    lines = ("GET /v1/realtime HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    return "\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Authorization: Bearer {token}", "", ""]).encode()


def masked_frame(text: str) -> bytes:
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 127]) + len(text).to_bytes(8, "big")
    return bytes([0x81]) + length + bytes(4) + text.encode()


async def test_clients_and_mistral_are_spoken_to_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    tls = tmp_path / "tls"
    tls.mkdir()
    server.cert_chain_pems[0].write_to_path(tls / "tls.crt")
    server.private_key_pem.write_to_path(tls / "tls.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    upstream = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.configure_cert(upstream)
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    async with running_simulator(SCRIPT, tls=upstream) as mistral:
        options = {"ca_bundle_file": str(tmp_path / "ca.pem"), "tls_directory": str(tls)}
        async with running_gateway(mistral, tmp_path / "a", **options) as gateway, gateway.connect(ssl=trusting) as client:
            await client.say(speech(QUESTION) + silence(1200))
            assert (await client.until("response.done"))["response"]["status"] == "completed"
        async with running_gateway(mistral, tmp_path / "b") as distrustful, distrustful.connect() as client:
            await client.send("response.create")
            response = (await client.until("response.done"))["response"]
            assert "certificate is not trusted" in response["status_details"]["error"]["message"]


async def test_a_replaced_certificate_is_served_to_new_connections(mistral: SimulatorHandle, tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    tls.mkdir()
    for name in ("one", "two"):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / f"{name}.pem")
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")

    def serve(name: str) -> None:
        for suffix in ("crt", "key"):
            (tls / f"fresh.{suffix}").write_bytes((tmp_path / f"{name}.{suffix}").read_bytes())
            (tls / f"fresh.{suffix}").rename(tls / f"tls.{suffix}")

    serve("one")
    async with running_gateway(mistral, tmp_path / "gateway", tls_directory=str(tls)) as gateway:
        old, new = (ssl.create_default_context(cafile=tmp_path / f"{name}.pem") for name in ("one", "two"))
        async with gateway.connect(ssl=old) as client:
            serve("two")

            async def the_new_one_is_served() -> bool:
                try:
                    return (await gateway.get("/", ssl=new))[0] == 200
                except aiohttp.ClientConnectorCertificateError:
                    return False

            await eventually(the_new_one_is_served, "the new certificate")
            await client.send("response.create")
            await client.until("response.done")


@pytest.mark.in_real_time
async def test_a_stopped_gateway_is_unready_at_once_and_takes_clients_for_a_while(mistral: SimulatorHandle, tmp_path: Path) -> None:
    """Until every proxy knows that it is unready, some send it clients still."""
    async with gateway_process(mistral, tmp_path, ["--drain-accept-seconds", "600"], drain_seconds=3600) as gateway:
        assert gateway.process is not None
        async with gateway.connect(), gateway.connect():
            assert (await gateway.metric("sessions"), await gateway.metric("sessions_draining")) == (2, 0)
            gateway.process.send_signal(signal.SIGTERM)

            async def it_is_unready() -> bool:
                return (await gateway.get("/readyz", metrics=True)) == (503, "The gateway is draining.\n")

            await eventually(it_is_unready, "readiness to go")
            assert (await gateway.metric("sessions"), await gateway.metric("sessions_draining")) == (0, 2)
            async with gateway.connect() as late:
                await late.send("response.create", response={"output_modalities": ["text"]})
                await late.until("response.done")
            assert (await gateway.get("/healthz", metrics=True))[0] == 200


@pytest.mark.in_real_time
async def test_a_stopped_gateway_lets_its_sessions_finish(mistral: SimulatorHandle, tmp_path: Path) -> None:
    """SIGTERM: after a while 503; the turn is finished, close code 1001, exit status 0."""
    await mistral.put_script(LONG_REPLY)
    async with gateway_process(mistral, tmp_path, ["--drain-accept-seconds", "0.1"], drain_seconds=2) as gateway:
        assert gateway.process is not None
        async with gateway.connect() as idle, gateway.connect() as busy:
            await busy.send("response.create")
            await busy.until("response.output_audio.delta")
            gateway.process.send_signal(signal.SIGTERM)

            async def it_refuses() -> bool:
                try:
                    async with gateway.connect():
                        return False
                except aiohttp.WSServerHandshakeError as refused:
                    return refused.status == 503

            # The reply is spoken for far longer than the sessions are let be.
            await eventually(it_refuses, "new sessions to be refused")
            assert await idle.until_closed() == 1001
            assert not idle.all("error")
            assert await busy.until_closed() == 1001
            assert busy.events[-1]["type"] == "response.done"
            assert busy.events[-1]["response"]["status"] == "completed"
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await gateway.process.wait() == 0


@pytest.mark.in_real_time
async def test_on_a_node_that_grants_little_time_sessions_are_closed_before_the_kill(mistral: SimulatorHandle, tmp_path: Path) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "This sentence is one of very many. " * 60}]}})
    async with gateway_process(mistral, tmp_path, drain_seconds=540, node_grace_seconds=5) as gateway, gateway.connect() as client:
        assert gateway.process is not None
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await client.until_closed() == 1001
            assert client.events[-1]["type"] == "response.done"
            assert client.events[-1]["response"]["status"] == "cancelled"
            assert await gateway.process.wait() == 0


@pytest.mark.in_real_time
async def test_a_gateway_without_sessions_ends_soon(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with gateway_process(mistral, tmp_path, ["--drain-accept-seconds", "0.1"], drain_seconds=3600) as gateway:
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await gateway.process.wait() == 0


CANARY_KEY = "canary-key-5c1f0e7b"
CANARY_TOKEN = "canary-token-91d2aa40"


@pytest.mark.in_real_time
async def test_no_secret_is_ever_seen(mistral: SimulatorHandle, tmp_path: Path) -> None:
    """Key and token travel through successes and failures; no log line, metric or event bears them."""
    await mistral.add_key("canary", CANARY_KEY)
    async with gateway_process(mistral, tmp_path, ["--log-level", "debug"], key=CANARY_KEY) as gateway:
        (gateway.files.tokens / "token").write_text(CANARY_TOKEN)
        seen = []
        async with gateway.connect(CANARY_TOKEN) as client:
            for fault in (
                None,
                {"kind": "status", "status": 401},
                {"kind": "garbage"},
                {"kind": "cut", "after_events": 2},
                {"kind": "reset"},
            ):
                if fault:
                    for endpoint in ("chat", "speech_realtime", "transcription_realtime"):
                        await mistral.add_fault(endpoint=endpoint, times=2, **fault)
                await client.say(speech(QUESTION) + silence(1200))
                await client.until("response.done")
            await client.socket.send_str(json.dumps({"type": CANARY_TOKEN}))
            await client.until("error")
            seen += [json.dumps(event) for event in client.events[:-1]]
        for headers in (
            {"Authorization": f"Bearer {CANARY_TOKEN}x"},
            {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{CANARY_TOKEN}x"},
        ):
            seen.append((await gateway.get("/v1/realtime", headers=headers))[1])
        seen.append((await gateway.get("/metrics", metrics=True))[1])
        ephemeral = await client_secret(gateway, CANARY_TOKEN)
        for protocols in (("realtime", f"openai-insecure-api-key.{ephemeral}"), (f"openai-insecure-api-key.{ephemeral}",)):
            async with aiohttp.ClientSession() as http, http.ws_connect(gateway.websocket_url, protocols=protocols) as socket:
                await RealtimeClient(socket).until("session.created")
        gateway.files.credential.write_text(f"{CANARY_KEY} with a space")
        async with gateway.connect(CANARY_TOKEN) as client:
            await client.send("response.create")
            await client.until("response.done")
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        await eventually(lambda: any("Draining" in line for line in gateway.log_lines), "the drain")
    assert len(gateway.log_lines) > 4
    assert all(json.loads(line)["process"] == "gateway" for line in gateway.log_lines)
    everything = "\n".join([*seen, *gateway.log_lines])
    assert CANARY_KEY not in everything
    assert CANARY_TOKEN not in everything
    assert ephemeral not in everything


@pytest.mark.in_real_time
async def test_a_request_that_is_no_proper_http_is_one_line_of_log_without_headers(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with gateway_process(mistral, tmp_path) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.base_url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nX-Api Key: sk-canary-1\r\nAuthorization: Bearer ek_canary.canary-2\x01\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()
        await eventually(lambda: any("no proper HTTP" in line for line in gateway.log_lines), "the refusal to be logged")
    (line,) = [line for line in gateway.log_lines if "no proper HTTP" in line]
    assert json.loads(line)["level"] == "warning"
    assert "canary" not in "\n".join(gateway.log_lines)
    assert "Traceback" not in "\n".join(gateway.log_lines)


async def client_secret(gateway: GatewayHandle, token: str) -> str:
    url, headers = gateway.base_url + "/v1/realtime/client_secrets", {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http, http.post(url, json={}, headers=headers) as answer:
        return str((await answer.json())["value"])


@pytest.mark.in_real_time
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda files: files.config.unlink(), "can't be read"),
        (lambda files: files.config.write_text('{"integration": 7}'), "gateway.json can't be used"),
        (lambda files: files.config.write_text(files.config.read_text().replace('"limits"', '"bounds"')), "gateway.json can't be used"),
        (lambda files: files.config.write_text(files.config.read_text().replace("/none/ca.pem", "/none/other.pem")), "can't start"),
    ],
)
async def test_a_gateway_that_cannot_start_says_why(tmp_path: Path, change: object, sentence: str) -> None:
    files = GatewayFiles(tmp_path)
    files.write(TEST_KEY)
    files.config.write_text(encode(gateway_config("https://127.0.0.1:9", files, ca_bundle_file="/none/ca.pem")))
    change(files)  # type: ignore[operator]
    process = await start_gateway_process(files)
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert sentence in json.loads(errors.decode().splitlines()[-1])["message"]
    assert "Traceback" not in errors.decode()


@pytest.mark.in_real_time
async def test_a_gateway_writes_no_file(mistral: SimulatorHandle, tmp_path: Path) -> None:
    """Its root is read-only: it writes neither beside its files nor into its home directory, and its libraries don't either."""
    home = tmp_path / "home"
    home.mkdir()
    async with gateway_process(mistral, tmp_path / "pod", home=home) as gateway, gateway.connect() as client:
        await client.say(speech(QUESTION) + silence(1200))
        await client.until("response.done")
    assert names_under(tmp_path) == {"home", "pod", "credential", "apiKey", "client-token", "token", "gateway.json"}


def names_under(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*")}


async def test_a_client_is_pinged(mistral: SimulatorHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PING_SECONDS == 20.0
    monkeypatch.setattr("mistral_voice.gateway.server.PING_SECONDS", 0.05)
    async with running_gateway(mistral, tmp_path) as gateway, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {gateway.token}"}
        async with http.ws_connect(gateway.websocket_url, headers=headers, autoping=False) as socket, asyncio.timeout(DEADLINE_SECONDS):
            while (await socket.receive()).type is not aiohttp.WSMsgType.PING:
                pass
