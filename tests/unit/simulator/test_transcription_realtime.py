import base64
from typing import Any

import aiohttp
import numpy as np
import pytest

from mistral_voice.simulator.dialect import Dialect
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.virtual_clock import VirtualClock
from tests.unit.simulator.clients import TRANSCRIPTION_MODEL, append, silence, transcription, voice

NATIVE: dict[str, Any] = {"turn_detection": {}}
SCRIPT = {"transcription": {"turns": [{"text": "What is the capital of France?"}]}}


async def test_a_spoken_turn_gives_turn_events_and_text(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script(SCRIPT)
    async with transcription(http, NATIVE) as socket:
        await socket.speak(silence(200) + voice(600) + silence(700))
        ended = await socket.until("turn.end")
        await socket.send({"type": "input_audio.end"})
        done = await socket.until("transcription.done")
        assert await socket.closed() == (1000, "")
    assert socket.types == [
        "turn.start",
        "transcription.language",
        "turn.eager_end",
        "transcription.text.delta",
        "turn.end",
        "transcription.done",
    ]
    assert ended == {"type": "turn.end", "time_s": 1.3, "end_reason": "threshold"}
    assert done["text"] == socket.text == "What is the capital of France?"
    assert done["language"] == "en"
    assert done["model"] == TRANSCRIPTION_MODEL
    assert done["usage"]["prompt_audio_seconds"] == 2


async def test_the_session_tells_its_settings(http: aiohttp.ClientSession) -> None:
    async with transcription(http) as socket:
        created = await socket.event()
        assert created["type"] == "session.created"
        assert created["session"]["audio_format"] == {"encoding": "pcm_s16le", "sample_rate": 16000}
        assert created["session"]["request_id"]
        wishes = {
            "audio_format": {"encoding": "pcm_mulaw", "sample_rate": 8000},
            "target_streaming_delay_ms": 480,
            "language": "fr",
            "context_bias": ["Voxtral"],
            "turn_detection": {"min_silence_ms": 300},
        }
        await socket.send({"type": "session.update", "session": wishes})
        session = (await socket.until("session.updated"))["session"]
        assert session["audio_format"] == wishes["audio_format"]
        assert (session["target_streaming_delay_ms"], session["language"], session["context_bias"]) == (480, "fr", ["Voxtral"])
        assert session["turn_detection"]["min_silence_ms"] == 300
        assert session["turn_detection"]["end_threshold"] == 0.33
        await socket.send({"type": "session.update", "session": {"turn_detection": None}})
        session = (await socket.until("session.updated"))["session"]
        assert session["turn_detection"] is None
        assert session["language"] == "fr"


async def test_a_flush_gives_the_text_at_once_but_no_done(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script(SCRIPT)
    async with transcription(http, {}) as socket:
        await socket.speak(voice(400))
        await socket.send({"type": "input_audio.flush"})
        await socket.until("transcription.text.delta")
        await socket.speak(silence(100))
        await socket.send({"type": "input_audio.end"})
        await socket.rest()
    assert socket.types == ["transcription.language", "transcription.text.delta", "transcription.done"]


async def test_a_flush_gives_done_if_the_dialect_says_so() -> None:
    async with (
        running_simulator(SCRIPT, dialect=Dialect(flush_yields_done=True)) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
        transcription(http, {}) as socket,
    ):
        await socket.speak(voice(400))
        await socket.send({"type": "input_audio.flush"})
        assert (await socket.until("transcription.done"))["text"] == "What is the capital of France?"


async def test_settings_lock_at_the_first_audio(http: aiohttp.ClientSession) -> None:
    async with transcription(http, {}) as socket:
        await socket.send(append(silence(20)), {"type": "session.update", "session": {"language": "fr"}})
        error = await socket.until("error")
        assert error["error"]["message"] == "Session fields cannot be changed after audio has started."
        assert isinstance(error["error"]["code"], int)
        await socket.send({"type": "input_audio.end"})
        await socket.until("transcription.done")


@pytest.mark.parametrize(
    "session",
    [
        {"audio_format": {"encoding": "mp3", "sample_rate": 16000}},
        {"audio_format": {"encoding": "pcm_s16le", "sample_rate": 12345}},
        {"target_streaming_delay_ms": 79},
        {"target_streaming_delay_ms": 1201},
        {"turn_detection": {"start_threshold": 1.5}},
        {"turn_detection": {"min_silence_ms": -1}},
        {"context_bias": ["word"] * 101},
    ],
)
async def test_a_wrong_setting_is_refused_and_changes_nothing(http: aiohttp.ClientSession, session: dict[str, Any]) -> None:
    async with transcription(http, {}) as socket:
        await socket.send({"type": "session.update", "session": {**session, "language": "fr"}})
        assert (await socket.event())["type"] == "error"
        await socket.send({"type": "session.update", "session": {}})
        assert (await socket.until("session.updated"))["session"]["language"] is None


@pytest.mark.parametrize("delay_ms", [80, 1200, 2400])
async def test_documented_delays_are_accepted(http: aiohttp.ClientSession, delay_ms: int) -> None:
    async with transcription(http, {"target_streaming_delay_ms": delay_ms}):
        pass


async def test_an_older_model_has_no_turn_detection(http: aiohttp.ClientSession) -> None:
    async with transcription(http, {}, model="voxtral-mini-transcribe-realtime-2602") as socket:
        await socket.send({"type": "session.update", "session": NATIVE})
        assert "turn_detection is not supported" in (await socket.until("error"))["error"]["message"]


async def test_an_append_may_hold_262144_bytes_and_no_more(http: aiohttp.ClientSession) -> None:
    async with transcription(http, {}) as socket:
        await socket.send(append(bytes(262_144)), append(bytes(262_145)))
        assert "262145" in (await socket.until("error"))["error"]["message"]
        await socket.send({"type": "input_audio.end"})
        assert (await socket.until("transcription.done"))["usage"]["prompt_audio_seconds"] == 8


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"x"', '{"type": "unknown"}', "{}", '{"type": "input_audio.append"}', '{"type": "input_audio.append", "audio": "%%%"}'],
)
async def test_what_is_no_message_gets_an_error_and_the_session_goes_on(http: aiohttp.ClientSession, text: str) -> None:
    async with transcription(http, {}) as socket:
        await socket.websocket.send_str(text)
        assert (await socket.event())["type"] == "error"
        await socket.websocket.send_bytes(b"\x00")
        assert (await socket.event())["type"] == "error"
        await socket.send({"type": "input_audio.end"})
        assert (await socket.until("transcription.done"))["text"] == ""


async def test_an_error_closes_the_socket_if_the_dialect_says_so(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/dialect", {"errors_close": True})
    async with transcription(http, {}) as socket:
        await socket.websocket.send_str("{")
        code, _ = await socket.closed()
    assert code == 1008
    assert socket.types == ["error"]


async def test_a_message_that_is_too_large_closes_the_socket(http: aiohttp.ClientSession) -> None:
    async with transcription(http, {}) as socket:
        await socket.send(append(bytes(2_000_000)))
        assert (await socket.closed())[0] == 1009


@pytest.mark.parametrize("model", ["voxtral-mini-transcribe-realtime-9", "mistral-medium-latest", "voxtral-mini-transcribe-latest"])
async def test_a_model_that_cannot_do_this_is_refused_by_event(http: aiohttp.ClientSession, model: str) -> None:
    async with transcription(http, model=model) as socket:
        error = await socket.until("error")
        assert error["error"] == {"message": f"Invalid model: {model}", "code": 1500}
        assert (await socket.closed())[0] == 1008
    assert socket.types == ["error"]


async def test_a_model_is_refused_at_the_handshake_if_the_dialect_says_so(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/dialect", {"realtime_refusal_by_event": False})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with transcription(http, model="nope"):
            pass
    assert refused.value.status == 404


async def test_a_socket_needs_a_model(http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect("/v1/audio/transcriptions/realtime")
    assert refused.value.status == 422


def encoded(encoding: str) -> bytes:
    """One second of something loud at 8 kHz."""
    samples = np.sin(np.arange(8000) / 3) * 0.5
    match encoding:
        case "pcm_s16le":
            return (samples * 32767).astype("<i2").tobytes()
        case "pcm_s32le":
            return (samples * 2147483647).astype("<i4").tobytes()
        case "pcm_f16le":
            return samples.astype("<f2").tobytes()
        case "pcm_f32le":
            return samples.astype("<f4").tobytes()
        case "pcm_mulaw":
            return bytes([0x80, 0x00] * 4000)
        case _:
            return bytes([0x80 ^ 0x55 ^ 0x7F, 0x55 ^ 0x7F] * 4000)


@pytest.mark.parametrize(
    ("encoding", "silent"),
    [("pcm_s16le", b"\0"), ("pcm_s32le", b"\0"), ("pcm_f16le", b"\0"), ("pcm_f32le", b"\0"), ("pcm_mulaw", b"\xff"), ("pcm_alaw", b"\xd5")],
)
async def test_every_encoding_is_heard(http: aiohttp.ClientSession, encoding: str, silent: bytes) -> None:
    loud = encoded(encoding)
    async with transcription(http, {"audio_format": {"encoding": encoding, "sample_rate": 8000}, **NATIVE}) as socket:
        # Odd sizes: a sample may be cut in two by a message's end.
        audio = silent * len(loud) + loud + silent * len(loud)
        for start in range(0, len(audio), 801):
            await socket.send(append(audio[start : start + 801]))
        await socket.send({"type": "input_audio.end"})
        await socket.rest()
    turns = [(event["type"], event["time_s"]) for event in socket.events if event["type"] in ("turn.start", "turn.end")]
    assert turns == [("turn.start", 1.0), ("turn.end", 2.5)]


async def test_the_last_words_come_when_the_script_says() -> None:
    clock = VirtualClock()
    script = {"transcription": {"turns": [{"text": "late", "final_delay_ms": 250}]}}
    async with (
        running_simulator(script, clock=clock) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
        transcription(http, NATIVE) as socket,
    ):
        started = clock.now()
        await socket.speak(voice(400) + silence(600))
        await socket.until("turn.end")
        assert socket.types[-2] == "transcription.text.delta"
        assert round((clock.now() - started) * 1000, 6) == 250


async def test_each_connection_hears_the_next_conversation(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"transcription": {"conversations": [[{"text": "first"}], [{"text": "second"}]]}})
    texts = []
    for _ in range(3):
        async with transcription(http, {}) as socket:
            await socket.speak(voice(200))
            await socket.send({"type": "input_audio.end"})
            texts.append((await socket.until("transcription.done"))["text"])
    assert texts == ["first", "second", "second"]


async def test_a_session_named_in_the_query_has_its_own_script(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script(SCRIPT, session="s-1")
    async with transcription(http, {}, model=f"{TRANSCRIPTION_MODEL}&simulator_session=s-1") as socket:
        await socket.speak(voice(200))
        await socket.send({"type": "input_audio.end"})
        assert (await socket.until("transcription.done"))["text"] == "What is the capital of France?"


async def test_silence_on_the_line_ends_in_error_3804_if_the_dialect_says_so(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/dialect", {"idle_timeout_ms": 30})
    async with transcription(http) as socket:
        error = await socket.until("error")
        assert error["error"] == {"message": "Timeout waiting for response from streaming transcription", "code": 3804}
        assert (await socket.closed())[0] == 1008


async def test_a_session_may_have_a_longest_duration(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/dialect", {"max_duration_ms": 60})
    async with transcription(http) as socket:
        assert "Maximum session duration" in (await socket.until("error"))["error"]["message"]
        assert (await socket.closed())[0] == 1000


async def test_there_is_a_limit_of_open_sockets(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    mistral.simulator.max_sockets = 1
    async with transcription(http, {}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with transcription(http):
                pass
        assert refused.value.status == 503
    mistral.simulator.max_sockets = 2


async def test_a_client_token_opens_the_socket_of_its_model_only(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/client/sessions", json={"purpose": "realtime", "model": TRANSCRIPTION_MODEL, "ttl_seconds": 60}) as response:
        assert response.status == 201
        answer = await response.json()
    token = answer["client_secret"]["value"]
    assert token.startswith("rt_")
    assert answer["expires_at"] == answer["client_secret"]["expires_at"]
    async with aiohttp.ClientSession(mistral.base_url) as browser:
        for _ in range(2):
            async with transcription(browser, {}, protocols=("realtime", token)) as socket:
                assert socket.websocket.protocol == "realtime"
                await socket.speak(voice(100))
        for path in (
            f"/v1/audio/transcriptions/realtime?model={TRANSCRIPTION_MODEL.replace('latest', '3')}",
            "/v1/audio/speech/realtime?model=x",
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await browser.ws_connect(path, protocols=("realtime", token))
            assert refused.value.status == 401
        async with browser.get("/v1/models", headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == 401
        await mistral.admin("PATCH", "/keys/test", {"state": "revoked"})
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await browser.ws_connect(f"/v1/audio/transcriptions/realtime?model={TRANSCRIPTION_MODEL}", protocols=("realtime", token))
    assert token not in str(await mistral.requests())


async def test_a_client_token_expires() -> None:
    clock = VirtualClock()
    async with running_simulator(clock=clock) as mistral, aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http:
        async with http.post("/v1/client/sessions", json={"purpose": "realtime", "model": TRANSCRIPTION_MODEL}) as response:
            token = (await response.json())["client_secret"]["value"]
        await clock.sleep_until(clock.now() + 900)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with aiohttp.ClientSession(mistral.base_url) as browser, transcription(browser, protocols=("realtime", token)):
                pass
        assert refused.value.status == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "nope"}, 400),
        ({"model": TRANSCRIPTION_MODEL, "purpose": "other"}, 422),
        ({"model": TRANSCRIPTION_MODEL, "ttl_seconds": 0}, 422),
        ({}, 422),
    ],
)
async def test_a_wrong_client_session_is_refused(http: aiohttp.ClientSession, body: dict[str, Any], status: int) -> None:
    async with http.post("/v1/client/sessions", json=body) as response:
        assert response.status == status


async def test_what_was_sent_is_recorded_with_audio_by_its_size(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with transcription(http, {"language": "fr"}) as socket:
        await socket.speak(voice(100))
        await socket.send({"type": "input_audio.end"})
        await socket.rest()
    (record,) = await mistral.requests(endpoint="transcription_realtime")
    assert (record["key_id"], record["model"], record["close_code"], record["status"]) == ("test", TRANSCRIPTION_MODEL, 1000, 101)
    assert record["audio_ms"] == 100
    sent = [message["body"] for message in record["messages"] if message["direction"] == "in"]
    assert sent[0] == {"type": "session.update", "session": {"language": "fr"}}
    assert sent[1] == {"type": "input_audio.append", "audio_bytes": 640}
    assert base64.b64encode(voice(20)).decode()[:40] not in str(record)
