"""The live temperament, end to end: what Piper says, PocketSphinx hears; compared by words."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from mistral_voice.simulator.clock import SystemClock
from mistral_voice.simulator.live.temperament import LiveTemperament, start_live
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.words import word_error_rate
from tests.unit.simulator.clients import chat, silence, speech, transcription, user

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.in_real_time]

RATE = 24_000
NATIVE: dict[str, Any] = {"turn_detection": {}}
QUESTIONS = ("What is two plus two?", "What can you do?")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def temperament() -> LiveTemperament:
    # One recogniser: utterances at the same time have to share it. The simulator closes it.
    return await start_live(SystemClock(), 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(temperament: LiveTemperament) -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(temperament=temperament) as mistral:
        yield mistral


@pytest_asyncio.fixture(loop_scope="module")
async def client(live: SimulatorHandle) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(live.base_url, headers=live.authorization) as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spoken(live: SimulatorHandle) -> bytes:
    """The first question as audio."""
    async with aiohttp.ClientSession(live.base_url, headers=live.authorization) as session:
        return await say(session, QUESTIONS[0])


async def say(http: aiohttp.ClientSession, text: str) -> bytes:
    """A text as 16-bit audio at 24 kHz."""
    async with speech(http) as socket:
        await socket.send({"type": "input_text.append", "text": text}, {"type": "input_text.end"})
        await socket.closed()
        assert socket.types[-1] == "speech.audio.done"
        samples: NDArray[np.float32] = socket.audio
    assert len(samples) > RATE // 4
    assert np.max(np.abs(samples)) > 0.1
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


async def hear(http: aiohttp.ClientSession, audio: bytes, **session: Any) -> tuple[str, list[str]]:
    """What the simulator hears in 16-bit audio at 24 kHz, and the types of its events."""
    async with transcription(http, {"audio_format": {"encoding": "pcm_s16le", "sample_rate": RATE}, **session}) as socket:
        await socket.speak(audio, rate=RATE)
        await socket.send({"type": "input_audio.end"})
        done = await socket.until("transcription.done")
        assert socket.text == done["text"]
        return done["text"], socket.types


async def test_a_spoken_question_gets_a_spoken_answer_that_is_understood(client: aiohttp.ClientSession) -> None:
    rates = []
    for question in QUESTIONS:
        heard, _ = await hear(client, silence(200, RATE) + await say(client, question) + silence(300, RATE))
        rates.append(word_error_rate(question, heard))
        async with client.post("/v1/chat/completions", json=chat(user(heard))) as response:
            reply = (await response.json())["choices"][0]["message"]["content"]
        heard_back, _ = await hear(client, await say(client, reply))
        rates.append(word_error_rate(reply, heard_back))
    assert max(rates) <= 0.34, rates
    assert sum(rates) / len(rates) <= 0.15, rates


async def test_turn_events_come_with_the_words_before_the_end(client: aiohttp.ClientSession, spoken: bytes) -> None:
    pause = silence(800, RATE)
    text, types = await hear(client, pause + spoken + pause + spoken + pause, **NATIVE)
    assert word_error_rate(f"{QUESTIONS[0]} {QUESTIONS[0]}", text) <= 0.34
    turns = [kind for kind in types if kind in ("turn.start", "turn.end")]
    assert turns == ["turn.start", "turn.end"] * 2
    assert types[types.index("turn.end") - 1] == "transcription.text.delta"


async def test_a_flush_gives_the_words_without_waiting_for_silence(client: aiohttp.ClientSession, spoken: bytes) -> None:
    async with transcription(client, {"audio_format": {"encoding": "pcm_s16le", "sample_rate": RATE}}) as socket:
        await socket.speak(spoken, rate=RATE)
        await socket.send({"type": "input_audio.flush"})
        await socket.until("transcription.text.delta")
        await socket.send({"type": "input_audio.flush"}, {"type": "input_audio.end"})
        text = (await socket.until("transcription.done"))["text"]
    assert word_error_rate(QUESTIONS[0], text) <= 0.34


async def test_several_may_speak_at_once(client: aiohttp.ClientSession, spoken: bytes) -> None:
    heard = await asyncio.gather(*(hear(client, spoken) for _ in range(2)))
    assert all(word_error_rate(QUESTIONS[0], text) <= 0.34 for text, _ in heard)


async def test_silence_holds_no_words(client: aiohttp.ClientSession) -> None:
    text, types = await hear(client, silence(1000, RATE), **NATIVE)
    assert (text, types) == ("", ["transcription.done"])


async def test_a_client_that_goes_in_mid_turn_leaves_the_ear_free(client: aiohttp.ClientSession, spoken: bytes) -> None:
    async with transcription(client, {"audio_format": {"encoding": "pcm_s16le", "sample_rate": RATE}, **NATIVE}) as socket:
        await socket.speak(spoken[: len(spoken) // 2], rate=RATE)
        await socket.until("turn.start")
    text, _ = await hear(client, spoken)
    assert word_error_rate(QUESTIONS[0], text) <= 0.34


async def test_a_recogniser_that_dies_is_replaced(client: aiohttp.ClientSession, spoken: bytes, temperament: LiveTemperament) -> None:
    (pid,) = temperament.recognisers.process_ids
    os.kill(pid, signal.SIGKILL)
    lost, _ = await hear(client, spoken)
    assert lost == ""
    text, _ = await hear(client, spoken)
    assert word_error_rate(QUESTIONS[0], text) <= 0.34
    assert temperament.recognisers.process_ids != [pid]


async def test_the_answer_comes_at_the_pace_of_a_model(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=chat(user("What can you do?"), stream=True)) as response:
        pieces = (await response.text()).count("data: ")
    assert pieces > 12
