"""Whatever Mistral does: the client hears of it in a sentence, the session goes on, and nothing is spoken twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mistral_voice.gateway.upstream.speech_sockets import SpeechTransport
from mistral_voice.gateway.upstream.transcriber import MOST_CHARACTERS
from mistral_voice.mistral.stream.client import Deadlines
from tests.support.gateway import GatewayHandle, RealtimeClient, replace_file, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech
from tests.support.waiting import eventually
from tests.unit.gateway.conftest import MS_PER_CHARACTER

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris, of course. It has two million people."
EVERY_WAY = {"chat": ("chat",), "speech_realtime": ("speech_realtime", "speech")}
"""Speech that finds no socket goes over HTTP: only where both ways are barred does a reply fail."""
IMPATIENT = Deadlines(connect_seconds=1.0, read_seconds=0.5, write_seconds=1.0)


async def ask(client: RealtimeClient) -> dict[str, Any]:
    """Ask in writing; returns the response as it ended."""
    await client.send("response.create")
    response: dict[str, Any] = (await client.until("response.done"))["response"]
    return response


async def ask_aloud(client: RealtimeClient) -> dict[str, Any]:
    """Ask in speech; returns the response as it ended."""
    await client.say(speech(QUESTION) + silence(1200))
    response: dict[str, Any] = (await client.until("response.done"))["response"]
    return response


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (401, "upstream_unauthorized", "server_error", "refused the integration's API key"),
        (403, "upstream_forbidden", "server_error", "forbids"),
        (422, "upstream_rejected", "server_error", "did not accept"),
        (429, "upstream_rate_limited", "rate_limit_error", "rate limit"),
        (503, "upstream_unavailable", "server_error", "not available"),
    ],
)
@pytest.mark.parametrize("endpoint", ["chat", "speech_realtime"])
async def test_a_refused_reply_fails_with_its_reason_and_the_next_succeeds(
    gateway: GatewayHandle, mistral: SimulatorHandle, endpoint: str, status: int, code: str, kind: str, words: str
) -> None:
    faults = [await mistral.add_fault("status", endpoint=name, status=status) for name in EVERY_WAY[endpoint]]
    async with gateway.connect() as client:
        response = await ask(client)
        assert response["status"] == "failed"
        error = response["status_details"]["error"]
        assert (error["code"], error["type"]) == (code, kind)
        assert words in error["message"]
        assert not client.all("error")
        for fault in faults:
            await mistral.admin("DELETE", f"/faults/{fault}")
        assert (await ask(client))["status"] == "completed"
    upstream = "speech" if endpoint == "speech_realtime" else "chat"
    assert await gateway.metric("upstream_errors_total", kind=upstream, reason=code.removeprefix("upstream_")) > 0


@pytest.mark.parametrize(("status", "code"), [(401, "upstream_unauthorized"), (429, "upstream_rate_limited")])
async def test_a_refused_transcription_fails_the_turn_and_says_so(
    gateway: GatewayHandle, mistral: SimulatorHandle, status: int, code: str
) -> None:
    await mistral.add_fault("status", endpoint="transcription_realtime", status=status, times=1)
    async with gateway.connect() as client:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        assert (await ask_aloud(client))["status_details"]["error"]["code"] == code
        assert client.all("conversation.item.input_audio_transcription.failed")[0]["error"]["code"] == code
        assert (await ask_aloud(client))["status"] == "completed"


async def test_a_transcript_without_end_fails_its_turn_alone(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    turn = {"text": " ".join(["word" * 200] * (MOST_CHARACTERS // 800 + 2)), "word_ms": 1, "final_delay_ms": 1}
    await mistral.put_script({"transcription": {"listening": "anything", "turns": [turn]}})
    async with gateway.connect() as client:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        assert (await ask_aloud(client))["status_details"]["error"]["code"] == "upstream_rejected"
        assert client.all("conversation.item.input_audio_transcription.failed")[0]["error"]["code"] == "upstream_rejected"
        assert await gateway.metric("limits_hit_total", limit="transcript") == 1
        assert (await ask(client))["status"] == "completed"


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "reset"}])
@pytest.mark.parametrize("endpoint", ["chat", "speech_realtime", "transcription_realtime"])
async def test_a_passing_trouble_is_not_even_noticed(
    gateway: GatewayHandle, mistral: SimulatorHandle, endpoint: str, fault: dict[str, Any]
) -> None:
    await mistral.add_fault(endpoint=endpoint, times=1, **fault)
    async with gateway.connect() as client:
        response = await ask_aloud(client)
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["transcript"] == ANSWER
    assert len(client.spoken_audio()) == pytest.approx(48 * MS_PER_CHARACTER * (len(ANSWER) - 2), rel=0.02)


@pytest.mark.parametrize("kind", ["hang", "stall"])
@pytest.mark.parametrize("endpoint", ["chat", "speech_realtime"])
async def test_an_upstream_that_falls_silent_is_given_up(mistral: SimulatorHandle, tmp_path: Path, endpoint: str, kind: str) -> None:
    async with running_gateway(mistral, tmp_path, deadlines=IMPATIENT) as gateway, gateway.connect() as client:
        for name in EVERY_WAY[endpoint]:
            await mistral.add_fault(kind, endpoint=name, times=1, **({"after_events": 3} if kind == "stall" else {}))
        response = await ask(client)
        assert response["status_details"]["error"]["code"] == "upstream_timed_out"
        assert (await ask(client))["status"] == "completed"


@pytest.mark.parametrize("after_events", [0, 6])
@pytest.mark.parametrize("endpoint", ["chat", "speech_realtime", "speech"])
async def test_an_upstream_that_only_keeps_the_connection_busy_is_given_up(
    mistral: SimulatorHandle, tmp_path: Path, endpoint: str, after_events: int
) -> None:
    transport = SpeechTransport.HTTP if endpoint == "speech" else SpeechTransport.REALTIME
    async with (
        running_gateway(mistral, tmp_path, deadlines=IMPATIENT, speech_transport=transport) as gateway,
        gateway.connect() as client,
    ):
        await mistral.add_fault("stall", endpoint=endpoint, after_events=after_events, keep_alive_ms=50)
        response = await ask(client)
        assert response["status_details"]["error"]["code"] == "upstream_timed_out"
        await mistral.admin("DELETE", "/faults")
        assert (await ask(client))["status"] == "completed"


async def test_a_transcription_that_falls_silent_is_final_by_the_clock(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.add_fault("stall", endpoint="transcription_realtime", times=1, after_events=5)
    async with gateway.connect() as client:
        response = await ask_aloud(client)
        assert response["status"] == "completed"
        assert (await mistral.requests(endpoint="chat"))[0]["body"]["messages"][-1]["content"].startswith("What")


@pytest.mark.parametrize(
    ("endpoint", "kind", "code"),
    [
        ("chat", "cut", "upstream_disconnected"),
        ("chat", "garbage", "upstream_garbled"),
        ("chat", "error_event", "upstream_unavailable"),
        ("speech_realtime", "cut", "upstream_disconnected"),
        ("speech_realtime", "garbage", "upstream_garbled"),
        ("speech_realtime", "error_event", "upstream_unavailable"),
        ("speech_realtime", "close", "upstream_"),
    ],
)
async def test_a_reply_cut_in_the_middle_keeps_what_was_said_and_is_not_said_again(
    gateway: GatewayHandle, mistral: SimulatorHandle, endpoint: str, kind: str, code: str
) -> None:
    await mistral.add_fault(kind, endpoint=endpoint, times=1, after_events=16 if endpoint == "chat" else 8)
    async with gateway.connect() as client:
        response = await ask(client)
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"].startswith(code)
        part = response["output"][0]
        assert part["status"] == "incomplete"
        assert ANSWER.startswith(part["content"][0]["transcript"])
        audio_before = len(client.spoken_audio())
        assert (await ask(client))["status"] == "completed"
        assert len(client.spoken_audio()) - audio_before == pytest.approx(48 * MS_PER_CHARACTER * (len(ANSWER) - 2), rel=0.02)
        messages = (await mistral.requests(endpoint="chat"))[-1]["body"]["messages"]
        assert messages[-2]["role"] == "assistant"
        assert part["content"][0]["transcript"].startswith(messages[-2]["content"])
        # What was written is spoken to its end; what could not be spoken was not heard.
        assert (messages[-2]["content"] == part["content"][0]["transcript"]) is (endpoint == "chat")


@pytest.mark.parametrize("kind", ["cut", "error_event", "close"])
async def test_a_transcription_that_breaks_off_is_begun_anew(gateway: GatewayHandle, mistral: SimulatorHandle, kind: str) -> None:
    await mistral.add_fault(kind, endpoint="transcription_realtime", times=1, after_events=4)
    async with gateway.connect() as client:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        assert (await ask_aloud(client))["status"] == "completed"
        assert client.all("conversation.item.input_audio_transcription.completed")[0]["transcript"] == QUESTION
    sent = [request["audio_ms"] for request in await mistral.requests(endpoint="transcription_realtime")]
    assert len(sent) == 2
    assert sent[1] >= sent[0]


async def test_an_unknown_voice_is_told(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, voice="nobody") as gateway, gateway.connect() as client:
        error = (await ask(client))["status_details"]["error"]
        assert error["code"] == "upstream_rejected"
        assert "Voice 'nobody' not found" in error["message"]


async def test_an_upstream_that_is_not_there_never_makes_a_gateway_unready(tmp_path: Path) -> None:
    async with running_gateway("http://127.0.0.1:9", tmp_path) as gateway, gateway.connect() as client:
        response = await ask(client)
        assert response["status_details"]["error"]["code"] == "upstream_disconnected"
        assert await gateway.get("/readyz", metrics=True) == (200, "ok\n")
        assert await gateway.get("/healthz", metrics=True) == (200, "ok\n")


async def test_a_gateway_without_a_credential_is_not_ready_and_says_why(gateway: GatewayHandle) -> None:
    gateway.files.credential.unlink()
    assert await gateway.get("/readyz", metrics=True) == (503, "The credential file is missing.\n")
    replace_file(gateway.files.credential, "simulated-mistral-key-0001")
    assert (await gateway.get("/readyz", metrics=True))[0] == 200


async def test_a_rotated_key_is_used_at_once_by_a_session_that_runs_through(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.add_key("second", "simulated-mistral-key-0002")
    async with gateway.connect() as client:
        assert (await ask_aloud(client))["status"] == "completed"
        replace_file(gateway.files.credential, "simulated-mistral-key-0002")
        await mistral.admin("PATCH", "/keys/test", {"state": "revoked"})
        assert (await ask_aloud(client))["status"] == "completed"
    used = {(request["endpoint"], request["key_id"]) for request in await mistral.requests()}
    assert {("chat", "second"), ("speech_realtime", "second"), ("transcription_realtime", "second")} <= used


async def test_a_reply_in_the_making_outlives_the_rotation(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(
        {"chat": {"replies": [{"text": "It goes on and on. " * 10, "token_ms": 15}]}, "speech": {"ms_per_character": MS_PER_CHARACTER}}
    )
    async with gateway.connect() as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        replace_file(gateway.files.credential, "another-key-that-is-not-known")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_sessions_do_not_share_their_trouble(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """One session's reply fails in the middle while twenty others are answered."""
    async with asyncio.TaskGroup() as tasks:
        results = [tasks.create_task(one_answer(gateway)) for _ in range(20)]
        await mistral.add_fault("cut", endpoint="chat", times=1, after_events=4)
    statuses = [result.result() for result in results]
    assert statuses.count("completed") >= 19


async def one_answer(gateway: GatewayHandle) -> str:
    async with gateway.connect() as client:
        return str((await ask_aloud(client))["status"])


async def test_stale_audio_of_a_cancelled_reply_never_reaches_the_next(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(
        {
            "chat": {
                "replies": [{"text": "Tone 400 all the way long and longer still. " * 4}, {"text": "Tone 1200 is what you hear now."}]
            },
            "speech": {"ms_per_character": 60, "chunk_ms": 60, "speed": 4},
        }
    )
    async with gateway.connect() as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        await client.until("response.done")
        client.events.clear()
        await client.send("response.create")
        await client.until("response.done")
    import numpy as np

    from mistral_voice.simulator.scripted.tone import dominant_hz

    samples = np.frombuffer(client.spoken_audio(), "<i2").astype(np.float32) / np.float32(32768)
    for start in range(0, len(samples) - 4800, 4800):
        assert dominant_hz(samples[start : start + 4800], 24_000) == pytest.approx(1200, rel=0.05)


async def test_speech_is_let_go_when_the_reply_is_done(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    async with gateway.connect() as client:
        await ask_aloud(client)
        await eventually(lambda: not mistral.simulator.sockets, "the closing of all upstream sockets")
