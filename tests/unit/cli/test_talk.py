"""`mistral-voice talk` as a person uses it: against a gateway, and against all that may be wrong."""

import asyncio
import json
import os
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.speech import noise, silence, speech, write_wav
from tests.unit.gateway.conftest import MS_PER_CHARACTER, SCRIPT

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris, of course. It has two million people."


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(SCRIPT) as simulator:
        yield simulator


@pytest.fixture
async def gateway(mistral: SimulatorHandle, tmp_path: Path) -> AsyncIterator[GatewayHandle]:
    async with running_gateway(mistral, tmp_path / "gateway") as running:
        yield running


@pytest.fixture
def question(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "question.wav", speech(QUESTION), rate_hz=16_000)


async def talk(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Run the command; returns its status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mistral_voice.cli.main",
        "talk",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def access(gateway: GatewayHandle) -> list[str | Path]:
    return ["--url", gateway.websocket_url, "--token-file", gateway.files.tokens / "token"]


async def test_a_spoken_question_comes_back_as_a_spoken_answer(gateway: GatewayHandle, question: Path, tmp_path: Path) -> None:
    status, out, err = await talk(*access(gateway), "--in", question, "--out", tmp_path / "reply.wav")
    assert (status, err) == (0, "")
    assert f"you    {QUESTION}\nreply  {ANSWER}\n" in out
    assert "transcript" in out
    assert "first audio" in out
    with wave.open(str(tmp_path / "reply.wav")) as reply:
        assert (reply.getframerate(), reply.getnchannels(), reply.getsampwidth()) == (24_000, 1, 2)
        assert reply.getnframes() / 24_000 == pytest.approx(MS_PER_CHARACTER / 1000 * len(ANSWER), rel=0.1)


async def test_any_rate_and_stereo(gateway: GatewayHandle, tmp_path: Path) -> None:
    forms = [(8_000, 1), (22_050, 2), (44_100, 2), (48_000, 1)]
    paths = [write_wav(tmp_path / f"{rate_hz}.wav", speech(QUESTION), rate_hz, channels) for rate_hz, channels in forms]
    answers = await asyncio.gather(*(talk(*access(gateway), "--in", path, "--push-to-talk", "--json") for path in paths))
    assert [(status, json.loads(out)["heard"]) for status, out, _ in answers] == [(0, QUESTION)] * len(forms)


async def test_json_output_has_words_timings_and_usage(gateway: GatewayHandle, question: Path) -> None:
    token = (gateway.files.tokens / "token").read_text()
    status, out, _ = await talk("--url", gateway.base_url, "--in", question, "--json", MISTRAL_VOICE_TOKEN=token)
    result = json.loads(out)
    assert status == 0
    assert (result["heard"], result["reply"]) == (QUESTION, ANSWER)
    assert 0 < result["timings_ms"]["transcript"] <= result["timings_ms"]["first_audio"] <= result["timings_ms"]["total"]
    assert result["usage"]["output_tokens"] > 0
    assert (result["model"], result["voice"]) == ("mistral-medium-latest", "voice_478")


async def test_a_question_in_writing(gateway: GatewayHandle, tmp_path: Path) -> None:
    status, out, _ = await talk(*access(gateway), "--text", "Hello?", "--out", tmp_path / "r.wav")
    assert status == 0
    assert f"you    Hello?\nreply  {ANSWER}" in out
    assert (tmp_path / "r.wav").stat().st_size > 48_000


async def test_push_to_talk_integrations_need_no_flag(mistral: SimulatorHandle, question: Path, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path / "ptt", turn_detection="push_to_talk") as gateway:
        status, out, _ = await talk(*access(gateway), "--in", question)
    assert status == 0
    assert ANSWER in out


async def test_what_is_wrong_with_the_call_is_said(tmp_path: Path, question: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    url = ["--url", "ws://127.0.0.1:9/v1/realtime"]
    cases: list[tuple[list[str | Path], dict[str, str], str]] = [
        ([*url, "--in", question], {}, "There is no token: the variable MISTRAL_VOICE_TOKEN is not set."),
        ([*url, "--in", question, "--token-file", tmp_path / "none"], {}, "can't be read"),
        ([*url, "--in", question, "--token-file", empty], {}, f"{empty} is empty"),
        ([*url], {"MISTRAL_VOICE_TOKEN": "t"}, "Ask with --in question.wav or with --text"),
        (["--url", "localhost:80", "--in", question], {"MISTRAL_VOICE_TOKEN": "t"}, "is no address"),
        ([*url, "--in", question, "--token-env", "OTHER"], {"OTHER": "a\nb"}, "characters that no token has"),
        ([*url, "--text", "Hi", "--out", tmp_path / "no" / "x.wav"], {"MISTRAL_VOICE_TOKEN": "t"}, f"There is no folder {tmp_path / 'no'}"),
    ]
    no_times = ("-1", "0", "nan", "x")
    cases += [([*url, "--text", "Hi", f"--timeout-seconds={wrong}"], {}, "is no time to wait; give seconds") for wrong in no_times]
    results = await asyncio.gather(*(talk(*arguments, **environment) for arguments, environment, _ in cases))
    for (_, _, sentence), (status, out, err) in zip(cases, results, strict=True):
        assert (status, out) == (2, "")
        assert sentence in err
        assert "Traceback" not in err


async def test_what_is_wrong_with_the_file_is_said(gateway: GatewayHandle, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("This is no audio.")
    with wave.open(str(tmp_path / "8bit.wav"), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(100))
    write_wav(tmp_path / "empty.wav", b"")
    write_wav(tmp_path / "silent.wav", silence(500))
    cases = [
        ("none.wav", "There is no file"),
        ("text.wav", "is not a WAV file"),
        ("8bit.wav", "has 8 bits a sample; 16 are needed"),
        ("empty.wav", "holds no audio"),
        ("silent.wav", f"{tmp_path / 'silent.wav'} is silent from its beginning to its end. Record it again"),
    ]
    results = await asyncio.gather(*(talk(*access(gateway), "--in", tmp_path / name) for name, _ in cases))
    for (_, sentence), (status, _, err) in zip(cases, results, strict=True):
        assert (status, sentence in err) == (1, True), err


async def test_what_is_wrong_with_the_other_side_is_said(gateway: GatewayHandle, mistral: SimulatorHandle, question: Path) -> None:
    token = {"MISTRAL_VOICE_TOKEN": "wrong"}
    tls_url = gateway.websocket_url.replace("ws://", "wss://")
    cases = [
        (["--url", gateway.websocket_url], "The token was refused (401)"),
        (
            ["--url", "ws://127.0.0.1:9"],
            "Connection refused. Is the gateway running, and the port right? If a `kubectl port-forward` led there",
        ),
        (["--url", gateway.base_url + "/v1/elsewhere"], "no Realtime endpoint at this address (404)"),
        (["--url", tls_url], "does not speak TLS"),
    ]
    results = await asyncio.gather(*(talk(*arguments, "--in", question, **token) for arguments, _ in cases))
    for (_, sentence), (status, _, err) in zip(cases, results, strict=True):
        assert (status, sentence in err) == (1, True), err
    status, _, err = await talk(*access(gateway), "--model", "mistral-large-4", "--in", question)
    assert (status, "it offers mistral-medium-latest" in err) == (1, True), err
    await mistral.admin("PATCH", "/keys/test", {"state": "revoked"})
    status, _, err = await talk(*access(gateway), "--in", question)
    assert status == 1
    assert "refused the integration's API key (401)" in err


async def test_a_reply_that_cannot_be_written_is_said_without_a_traceback(gateway: GatewayHandle, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    status, _, err = await talk(*access(gateway), "--text", "Hello?", "--out", tmp_path / "taken")
    assert (status, err) == (1, f"{tmp_path / 'taken'} can't be written: Is a directory.\n")


async def test_a_question_without_speech_does_not_wait_for_ever(gateway: GatewayHandle, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "noise.wav", noise(300, -40))
    status, _, err = await talk(*access(gateway), "--in", path)
    assert status == 1
    assert "The gateway heard nobody speak in the question." in err


async def test_a_reply_that_does_not_come_is_not_awaited_for_ever(gateway: GatewayHandle, mistral: SimulatorHandle, tmp_path: Path) -> None:
    await mistral.add_fault("hang", endpoint="chat")
    status, _, err = await talk(*access(gateway), "--text", "Hello?", "--timeout-seconds", "2")
    assert status == 1
    assert "No complete reply came within 2 seconds" in err


async def test_a_certificate_that_is_not_trusted(mistral: SimulatorHandle, question: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    tls = tmp_path / "tls"
    tls.mkdir()
    certificate.cert_chain_pems[0].write_to_path(tls / "tls.crt")
    certificate.private_key_pem.write_to_path(tls / "tls.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with running_gateway(mistral, tmp_path / "tls-gateway", tls_directory=str(tls)) as gateway:
        status, _, err = await talk(*access(gateway), "--in", question)
        assert (status, "is not trusted; give its authority with --ca-file" in err) == (1, True)
        status, out, _ = await talk(*access(gateway), "--in", question, "--ca-file", tmp_path / "ca.pem")
        assert (status, ANSWER in out) == (0, True)


@pytest.mark.parametrize(
    ("greeting", "sentence"),
    [
        ('{"type": "welcome"}', "sent 'welcome'; is this a Realtime endpoint?"),
        (
            '{"type": "error", "error": {"code": "managed_seconds_exhausted", "message": "The plan has no room for more."}}',
            "The gateway refused the session: The plan has no room for more.",
        ),
    ],
)
async def test_a_server_that_begins_no_session(question: Path, greeting: str, sentence: str) -> None:
    async def greet(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(greeting)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", greet)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        status, _, err = await talk("--url", f"ws://127.0.0.1:{port}", "--in", question, MISTRAL_VOICE_TOKEN="t")
    finally:
        await runner.cleanup()
    assert (status, sentence in err) == (1, True), err


async def test_a_question_with_a_pause_is_asked_to_its_end(gateway: GatewayHandle, mistral: SimulatorHandle, tmp_path: Path) -> None:
    """The first part gets a reply of its own, which the second part interrupts or follows; what counts is the reply to the whole."""
    turns = [[{"text": "I have a question."}], [{"text": QUESTION}]]
    replies = [{"text": "Go on.", "when": "^I have a question.$"}, {"text": ANSWER}]
    script = {"transcription": {"listening": "anything", "conversations": turns}, "chat": {"replies": replies}}
    await mistral.put_script({**SCRIPT, **script})
    path = write_wav(tmp_path / "q.wav", speech("I have a question.") + silence(1500) + speech(QUESTION))
    status, out, err = await talk(*access(gateway), "--in", path, "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert result["heard"] == f"I have a question. {QUESTION}"
    assert result["reply"] == ANSWER
    assert result["audio_seconds"] == pytest.approx(MS_PER_CHARACTER / 1000 * len(ANSWER), rel=0.1)
