from typing import Any

import aiohttp
import pytest

from mistral_voice.simulator.scripted.tone import dominant_hz, tone_hz
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.virtual_clock import VirtualClock
from tests.support.waiting import eventually
from tests.unit.simulator.clients import speech

END = {"type": "input_text.end"}


def say(text: str) -> dict[str, str]:
    return {"type": "input_text.append", "text": text}


def flush(text: str | None = None) -> dict[str, str]:
    return {"type": "input_text.flush"} if text is None else {"type": "input_text.flush", "text": text}


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


async def test_text_is_spoken_and_the_socket_closes_after_the_end(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.send(update(voice="voice_478", response_format="pcm"), say("Good morning."), END)
        assert await socket.closed() == (1000, "")
    assert socket.types[:2] == ["session.created", "session.updated"]
    assert set(socket.types[2:-1]) == {"speech.audio.delta"}
    assert socket.types[-1] == "speech.audio.done"
    assert socket.events[1]["session"]["voice"] == "voice_478"
    assert set(socket.events[2]) == {"type", "audio_data"}
    assert dominant_hz(socket.audio, 24_000) == tone_hz("Good morning.")
    assert len(socket.audio) / 24_000 == 0.78


async def test_one_socket_serves_many_generations(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.until("session.created")
        for text in ("tone 500", "tone 900"):
            socket.events.clear()
            await socket.send(say(text), flush())
            await socket.until("speech.audio.done")
            assert dominant_hz(socket.audio, 24_000) == int(text[5:])
        socket.events.clear()
        await socket.send(flush("tone 700"), END)
        await socket.closed()
        assert dominant_hz(socket.audio, 24_000) == 700
        assert socket.types.count("speech.audio.done") == 1


async def test_generations_do_not_mix_when_they_are_asked_for_at_once(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.send(flush("tone 500"), flush("tone 900"), END)
        await socket.until("speech.audio.done")
        assert dominant_hz(socket.audio, 24_000) == 500
        socket.events.clear()
        await socket.rest()
        assert dominant_hz(socket.audio, 24_000) == 900


@pytest.mark.parametrize(("mode", "spoken_at_once"), [("responsive", "First,"), ("long_form", "First, second. Third, fourth!")])
async def test_ready_text_is_spoken_before_the_flush(http: aiohttp.ClientSession, mode: str, spoken_at_once: str) -> None:
    text = "First, second" if mode == "responsive" else "First, second. Third, fourth! Fifth, six"
    async with speech(http) as socket:
        await socket.send(update(streaming_mode=mode), say(text))
        await socket.until("session.updated")
        socket.events.clear()
        expected = max(20, len(spoken_at_once) * 60 // 20 * 20) * 24
        while len(socket.audio) < expected:
            await socket.event()
        assert len(socket.audio) == expected
        await socket.send(flush())
        await socket.until("speech.audio.done")
        assert len(socket.audio) > expected


async def test_an_empty_flush_is_done_at_once_unless_the_dialect_says_otherwise(
    mistral: SimulatorHandle, http: aiohttp.ClientSession
) -> None:
    async with speech(http) as socket:
        await socket.send(flush())
        await socket.until("speech.audio.done")
    await mistral.admin("PATCH", "/dialect", {"empty_flush_yields_done": False})
    async with speech(http) as socket:
        await socket.send(flush(), END)
        await socket.closed()
        assert socket.types == ["session.created"]


async def test_an_unknown_voice_closes_the_socket_with_1008(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.send(update(voice="voice_0"))
        assert await socket.closed() == (1008, "Voice 'voice_0' not found.")
    assert socket.types == ["session.created"]


@pytest.mark.parametrize(
    "session",
    [
        {"response_format": "aiff"},
        {"response_format": "mp3"},
        {"streaming_mode": "hasty"},
        {"expressiveness": 0.9},
        {"voice": "voice_478", "ref_audio": "UklGRg=="},
    ],
)
async def test_a_wrong_setting_is_refused_and_the_session_goes_on(http: aiohttp.ClientSession, session: dict[str, Any]) -> None:
    async with speech(http) as socket:
        await socket.send(update(**session))
        assert isinstance((await socket.until("error"))["error"]["message"], str)
        await socket.send(flush("still here"))
        await socket.until("speech.audio.done")


async def test_a_reference_recording_replaces_the_voice(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.send(update(ref_audio="UklGRg==", expressiveness=1.5))
        session = (await socket.until("session.updated"))["session"]
        assert (session["is_ref_audio"], session["voice"], session["expressiveness"]) == (True, None, 1.5)
        await socket.send(update(voice="en_paul_neutral"))
        session = (await socket.until("session.updated"))["session"]
        assert (session["is_ref_audio"], session["voice"]) == (False, "en_paul_neutral")


async def test_wav_deltas_begin_with_a_header(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.send(update(response_format="wav"), flush("Hello"))
        await socket.until("speech.audio.done")
    assert socket.audio[:1].tobytes() == b"RIFF"


async def test_too_much_text_without_a_flush_is_refused(http: aiohttp.ClientSession) -> None:
    async with speech(http) as socket:
        await socket.send(say("a" * 100_001))
        await socket.until("error")


async def test_a_client_that_goes_in_mid_speech_leaves_nothing_behind(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"speech": {"speed": 1.0}})
    async with speech(http) as socket:
        await socket.send(flush("A long sentence that takes many seconds to be spoken at the pace of speech."))
        await socket.until("speech.audio.delta")
    await eventually(lambda: not mistral.simulator.sockets, "the socket to be forgotten")


async def test_the_pace_is_exact() -> None:
    clock = VirtualClock()
    script = {"speech": {"first_audio_ms": 150, "speed": 1.0, "ms_per_character": 100}}
    async with (
        running_simulator(script, clock=clock) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
        speech(http) as socket,
    ):
        await socket.until("session.created")
        started = clock.now()
        await socket.send(flush("01234"))
        await socket.until("speech.audio.done")
        assert round((clock.now() - started) * 1000, 6) == 150 + 4 * 100


async def test_each_text_in_turn_may_take_its_own_time() -> None:
    clock = VirtualClock()
    script = {"speech": {"first_audio_in_turn_ms": [100, 300], "ms_per_character": 10}}
    async with (
        running_simulator(script, clock=clock) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
        speech(http) as socket,
    ):
        await socket.until("session.created")
        took = []
        for _ in range(3):
            started = clock.now()
            await socket.send(flush("01234"))
            await socket.until("speech.audio.done")
            took.append(round((clock.now() - started) * 1000, 6))
        assert took == [100, 300, 100]
