"""The process, as somebody starts it."""

import asyncio
import contextlib
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from mistral_voice.simulator.dialect import SampleFormat
from mistral_voice.simulator.keys import KeyState, Scope
from mistral_voice.simulator.main import main
from mistral_voice.simulator.settings import SettingsError, parse

KEY = "a-key-that-is-not-to-be-seen-0001"


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[Process, int]]:
    """A simulator process that listens on a free port."""
    command = [sys.executable, "-m", "mistral_voice.cli.main", "simulator", "--host", "127.0.0.1", "--port", "0", *arguments]
    child = await asyncio.create_subprocess_exec(*command, stderr=PIPE, cwd=Path(__file__).parents[3] / "operator")
    assert child.stderr is not None
    try:
        async with asyncio.timeout(60):
            line = json.loads(await child.stderr.readline())
        assert line["message"] == "listening", line
        yield child, line["port"]
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.in_real_time
async def test_the_process_serves_what_it_is_told_and_stops_on_sigterm(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"chat": {"replies": [{"text": "From a file."}]}}))
    arguments = ("--keys", f"first={KEY}", "--script", str(script), "--log-level", "debug", "--dialect", '{"unauthorized": "message"}')
    async with process(*arguments) as (child, port), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        body = {"model": "mistral-medium-latest", "messages": [{"role": "user", "content": "x"}]}
        async with http.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == "From a file."
        async with http.get("/v1/models") as response:
            assert (await response.json())["message"] == "Unauthorized"
        child.terminate()
        assert child.stderr is not None
        async with asyncio.timeout(30):
            logs = (await child.stderr.read()).decode()
            assert await child.wait() == 0
    assert KEY not in logs
    assert '"key_id": "first"' in logs


@pytest.mark.in_real_time
async def test_the_process_serves_tls(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    async with (
        process("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key")) as (_, port),
        aiohttp.ClientSession() as http,
        http.get(f"https://127.0.0.1:{port}/healthz", ssl=False) as response,
    ):
        assert response.status == 200


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--keys", "nonsense"], 2, "entry 1 is not of the form id=value"),
        (["--keys", "a=b c"], 2, "white space in the middle"),
        (["--dialect", '{"accent": 1}'], 2, "accent"),
        (["--tls-cert", "/nowhere"], 2, "Give both"),
        (["--keys-file", "/nowhere.json"], 2, "/nowhere.json can't be read"),
        (["--admin-token-file", "/nowhere"], 2, "/nowhere can't be read"),
        (["--tls-cert", "/nowhere", "--tls-key", "/nowhere"], 1, "--tls-cert, --tls-key"),
        (["--script", "/nowhere"], 1, "/nowhere"),
        (["--host", "192.0.2.1"], 1, "can't start"),
    ],
)
def test_wrong_settings_end_the_process_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, sentence: str
) -> None:
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    assert main(["--port", "0", *arguments]) == status
    errors = capsys.readouterr().err
    assert sentence in errors
    assert "Traceback" not in errors


def test_settings_come_from_the_environment_and_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps([{"id": "b", "value": "b" * 20, "scopes": ["chat"], "state": "revoked", "domain": "d"}]))
    (tmp_path / "token").write_text("admin-token-00001\n")
    environment = {
        "MISTRAL_VOICE_PORT": "1234",
        "MISTRAL_VOICE_LIVE": "true",
        "MISTRAL_VOICE_KEYS": f"a={KEY}",
        "MISTRAL_VOICE_KEYS_FILE": str(tmp_path / "keys.json"),
        "MISTRAL_VOICE_ADMIN_TOKEN_FILE": str(tmp_path / "token"),
        "MISTRAL_VOICE_DIALECT": '{"speech_sample_format": "s16le"}',
    }
    settings = parse(["--max-sockets", "7"], environment)
    assert (settings.port, settings.live, settings.max_sockets, settings.host) == (1234, True, 7, "0.0.0.0")
    assert settings.dialect.speech_sample_format is SampleFormat.INT16
    first, second = settings.keys
    assert (first.id, first.value.reveal(), first.scopes) == ("a", KEY, frozenset(Scope))
    assert (second.scopes, second.state, second.domain) == (frozenset({Scope.CHAT}), KeyState.REVOKED, "d")
    assert settings.admin_token is not None
    assert settings.admin_token.reveal() == "admin-token-00001"
    assert KEY not in repr(settings)
    assert not parse(["--no-live"], environment).live


@pytest.mark.parametrize(
    "content", ["", "{}", '[{"id": "a"}]', '[{"id": "a", "value": ""}]', '[{"id": "a", "value": "x", "colour": "red"}]']
)
def test_a_wrong_keys_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(SettingsError, match="--keys-file"):
        parse(["--keys-file", str(tmp_path / "keys.json")], {})
