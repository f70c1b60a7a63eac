import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.simulator import recording
from mistral_voice.simulator.clock import SystemClock
from mistral_voice.simulator.recording import Recorder, bounded
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.unit.simulator.clients import chat, user


async def test_a_script_can_be_read_back_and_taken_away(mistral: SimulatorHandle) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "one"}]}}, key_id="test")
    script = await mistral.admin("GET", "/keys/test/script")
    assert script["chat"]["replies"][0]["text"] == "one"
    assert script["speech"]["ms_per_character"] == 60
    await mistral.put_script(script, key_id="test")
    assert (await mistral.admin("GET", "/"))["scripts"] == {"keys": ["test"], "sessions": []}
    await mistral.admin("DELETE", "/keys/test/script")
    with pytest.raises(AssertionError, match="404"):
        await mistral.admin("GET", "/keys/test/script")
    await mistral.put_script({"chat": {"replies": []}})
    await mistral.admin("DELETE", "/script")
    assert len((await mistral.admin("GET", "/script"))["chat"]["replies"]) == 1


@pytest.mark.parametrize(
    "script",
    [
        {"chatter": {}},
        {"chat": {"replies": [{"when": "("}]}},
        {"speech": {"tone_hz": 33}},
        {"speech": {"chunk_ms": 30}},
        {"transcription": {"listening": "telepathy"}},
        {"transcription": {"turns": "one"}},
        [],
    ],
)
async def test_a_wrong_script_is_refused_with_a_sentence(http: aiohttp.ClientSession, script: Any) -> None:
    async with http.put("/_simulator/script", json=script) as response:
        assert response.status == 400
        assert len((await response.json())["message"].split()) > 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/keys/a", {}),
        ("PUT", "/keys/a", {"value": "two words"}),
        ("PUT", "/keys/a", {"value": "x" * 20, "scopes": ["everything"]}),
        ("PATCH", "/keys/test", {"value": "x" * 20}),
        ("PATCH", "/dialect", {"accent": "strong"}),
        ("PUT", "/models/m", {"colour": "red"}),
        ("PUT", "/voices/v", {}),
        ("PUT", "/domains/d", {"requests_per_minute": "many"}),
        ("POST", "/sockets/close", {"code": "x"}),
    ],
)
async def test_wrong_admin_input_is_refused_with_a_sentence(http: aiohttp.ClientSession, method: str, path: str, body: Any) -> None:
    async with http.request(method, f"/_simulator{path}", json=body) as response:
        assert response.status == 400
        assert len((await response.json())["message"].split()) > 2


async def test_an_unknown_key_is_not_found(http: aiohttp.ClientSession) -> None:
    async with http.patch("/_simulator/keys/nobody", json={"state": "revoked"}) as response:
        assert response.status == 404
        assert "nobody" in (await response.json())["message"]


async def test_with_an_admin_token_nobody_else_gets_in(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    mistral.simulator.admin_token = Secret("admin-token-00001")
    for token, status in (("wrong", 401), (mistral.key, 401), ("admin-token-00001", 200)):
        async with http.get("/_simulator/keys", headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == status


async def test_without_an_admin_token_only_loopback_gets_in(mistral: SimulatorHandle) -> None:
    from aiohttp.test_utils import make_mocked_request

    from mistral_voice.simulator import admin

    guard = admin.make_app(mistral.simulator).middlewares[0]

    class Elsewhere:
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return ("192.0.2.7", 1234) if name == "peername" else default

    async def handler(_: Any) -> Any:
        raise AssertionError("it got in")

    request = make_mocked_request("GET", "/keys", transport=Elsewhere())
    response = await guard(request, handler)
    assert response.status == 403


async def test_requests_are_recorded_with_key_id_and_body(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/chat/completions", json=chat(user("Hello"), prompt_cache_key="s-1")):
        pass
    async with http.get("/v1/models?provider=x", headers={"Authorization": "Bearer unknown-key-00001"}):
        pass
    first, second = await mistral.requests()
    assert (first["endpoint"], first["method"], first["path"], first["key_id"]) == ("chat", "POST", "/v1/chat/completions", "test")
    assert (first["session"], first["model"], first["status"]) == ("s-1", "mistral-medium-latest", 200)
    assert first["body"]["messages"] == [{"role": "user", "content": "Hello"}]
    assert (second["key_id"], second["status"], second["query"]) == (None, 401, {"provider": "x"})
    assert second["seq"] == first["seq"] + 1
    assert second["at_ms"] >= first["ended_at_ms"] >= first["at_ms"]
    everything = json.dumps([first, second])
    assert mistral.key not in everything
    assert "unknown-key-00001" not in everything
    assert await mistral.requests(endpoint="models") == await mistral.requests(after=str(first["seq"])) == [second]
    assert await mistral.requests(session="s-1") == await mistral.requests(key_id="test") == [first]
    await mistral.admin("DELETE", "/requests")
    assert await mistral.requests() == []


async def test_health_is_on_the_same_port(http: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/readyz"):
        async with http.get(path) as response:
            assert (response.status, await response.text()) == (200, "ok\n")


def record_one(recorder: Recorder) -> recording.Record:
    return recorder.open("chat", method="POST", path="/", query={}, key_id=None, session=None)


async def test_recordings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_RECORDS", 3)
    monkeypatch.setattr(recording, "MAX_MESSAGES", 4)
    monkeypatch.setattr(recording, "MAX_MESSAGES_IN_ALL", 6)
    recorder = Recorder(SystemClock())
    for _ in range(5):
        record_one(recorder)
    assert [record.seq for record in recorder.find()] == [3, 4, 5]
    for record in recorder.find()[:2]:
        for number in range(6):
            if recorder.wants_message(record):
                recorder.message(record, "in", number)
    assert [(record.seq, len(record.messages), record.messages_dropped) for record in recorder.find()] == [(4, 4, 2), (5, 0, 0)]


def test_bodies_are_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(20):
        deep = {"deep": deep}
    body = bounded({"long": "x" * 10_000, "list": list(range(1000)), "deep": deep, **{f"k{n}": n for n in range(200)}})
    assert len(json.dumps(body)) < 8_000
    assert body["long"].endswith("… (10000 characters)")
    assert "bottom" not in json.dumps(body)


async def test_the_simulator_serves_tls(tmp_path: Path) -> None:
    import ssl

    import trustme

    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with running_simulator(tls=server) as mistral:
        assert mistral.base_url.startswith("https://")
        connector = aiohttp.TCPConnector(ssl=client)
        async with (
            aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization, connector=connector) as http,
            http.get("/v1/models") as response,
        ):
            assert response.status == 200
        async with aiohttp.ClientSession(mistral.base_url) as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get("/v1/models")
