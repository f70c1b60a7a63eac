"""Detection for many callers at once, by the model itself."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import soxr

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import ServerVad
from mistral_voice.gateway.vad.endpointer import Sign, Started, Stopped
from mistral_voice.gateway.vad.engine import LARGEST_BATCH, VadEngine
from mistral_voice.gateway.vad.framing import Framer
from mistral_voice.gateway.vad.silero import FRAME_SAMPLES, Silero, SileroState
from mistral_voice.gateway.vad.stream import VadStream
from tests.support.speech import noise, silence, speech
from tests.support.waiting import eventually


@pytest.fixture
async def engine() -> AsyncIterator[VadEngine]:
    engine = VadEngine()
    running = asyncio.create_task(engine.run())
    yield engine
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Caller:
    """Someone whose voice is listened for."""

    def __init__(self, engine: VadEngine, settings: ServerVad | None = None) -> None:
        self.events: list[Started | Stopped] = []
        self.judged_ms = 0
        self.stream = VadStream(engine, settings or ServerVad(), 0, self._heard)

    def _heard(self, event: Sign | None, position_ms: int) -> None:
        self.judged_ms = position_ms
        if isinstance(event, Started | Stopped):
            self.events.append(event)

    async def is_judged_to(self, milliseconds: int) -> None:
        await eventually(lambda: self.judged_ms >= milliseconds - 64, f"{milliseconds} ms to be judged; {self.judged_ms} are")


async def test_audio_waits_for_the_model_and_none_is_lost(engine: VadEngine) -> None:
    caller = Caller(engine)
    audio = silence(700) + speech("Good morning, everyone.") + silence(900)
    assert not engine.is_loaded
    caller.stream.feed(audio)
    await caller.is_judged_to(len(audio) // 48)
    started, stopped = caller.events
    assert isinstance(started, Started)
    assert isinstance(stopped, Stopped)
    assert started.at_ms == pytest.approx(700, abs=130)
    assert stopped.at_ms == pytest.approx(len(audio) // 48 - 400, abs=200)


async def test_each_caller_is_judged_alone_though_all_share_a_batch(engine: VadEngine) -> None:
    """Silent, noisy and speaking callers side by side: each gets what it would get alone, however its audio is cut."""
    await engine.warm()
    question = silence(320) + speech("What time is it now?") + silence(1000)
    length_ms = len(question) // 48
    voices = [question, silence(length_ms), noise(length_ms, -40)] * 7
    alone = Caller(engine)
    alone.stream.feed(question)
    await alone.is_judged_to(length_ms)
    callers = [Caller(engine) for _ in voices]
    for start in range(0, len(question), 960):
        for number, (caller, voice) in enumerate(zip(callers, voices, strict=True)):
            step = 960 * (1 + number % 3)
            if start % step == 0:
                caller.stream.feed(voice[start : start + step])
        if start % 9600 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*(caller.is_judged_to(length_ms) for caller in callers))
    assert len(alone.events) == 2
    assert [caller.events for caller in callers[0::3]] == [alone.events] * 7
    assert not any(caller.events for number, caller in enumerate(callers) if number % 3)


@pytest.mark.parametrize("audio", [silence(200), speech("Hello there, hello.")], ids=["while frames are taken", "while they are judged"])
async def test_an_error_in_one_callers_session_leaves_detection_to_all_others(engine: VadEngine, audio: bytes) -> None:
    def stumble(event: Sign | None, position_ms: int) -> None:
        raise ZeroDivisionError("A mistake in our code.")

    broken: list[Exception] = []
    stumbling = VadStream(engine, ServerVad(), 0, stumble, broke=broken.append)
    stumbling.feed(audio)
    caller = Caller(engine)
    caller.stream.feed(speech("Hello there, hello."))
    await eventually(lambda: broken, "the error to be told")
    await eventually(lambda: caller.events, "the other caller's start")
    assert [type(error) for error in broken] == [ZeroDivisionError]


async def test_a_closed_stream_says_nothing_more(engine: VadEngine) -> None:
    await engine.warm()
    caller = Caller(engine)
    caller.stream.feed(speech("Hello there, hello."))
    caller.stream.close()
    other = Caller(engine)
    other.stream.feed(speech("Hello there, hello."))
    await eventually(lambda: other.events, "the other caller's start")
    assert not caller.events


def test_a_batch_gives_the_same_probabilities_as_one_by_one() -> None:
    model = Silero()
    frames = [frame for frame in Framer().frames(speech("One two three.")) if frame is not None][:20]
    single = SileroState()
    expected = [model.probabilities([frame], [single])[0] for frame in frames]
    states = [SileroState() for _ in range(5)]
    batched = [model.probabilities([frame] * 5, states) for frame in frames]
    for one, many in zip(expected, batched, strict=True):
        assert many == pytest.approx([one] * 5, abs=1e-4)


def test_telephone_frames_share_a_batch_with_others_and_change_nothing_for_them() -> None:
    """Speech at 8 kHz is judged by the model's own 8 kHz, next to frames of 16 kHz."""
    model = Silero()
    audio = silence(320) + speech("What time is it now?") + silence(320)
    telephone = g711.encoded(soxr.resample(np.frombuffer(audio, "<i2"), 24_000, 8_000), AudioFormat.PCMU)
    wide = [frame for frame in Framer().frames(audio) if frame is not None]
    narrow = [frame for frame in Framer(AudioFormat.PCMU).frames(telephone) if frame is not None]
    alone, beside, caller = SileroState(), SileroState(), SileroState()
    expected = [model.probabilities([frame], [alone])[0] for frame in wide]
    pairs = [model.probabilities([frame, other], [beside, caller]) for frame, other in zip(wide, narrow, strict=False)]
    assert [one for one, _ in pairs] == pytest.approx(expected[: len(pairs)], abs=1e-4)
    assert len(narrow[0]) == FRAME_SAMPLES // 2
    assert len(pairs) > 20
    agreeing = sum((one > 0.5) == (other > 0.5) for one, other in pairs)
    assert agreeing / len(pairs) > 0.85


def test_frames_are_whole_and_in_time() -> None:
    framer = Framer()
    tone = (np.sin(np.arange(24_000) * 2 * np.pi * 440 / 24_000) * 16_000).astype("<i2").tobytes()
    frames = [frame for start in range(0, len(tone), 700) for frame in framer.frames(tone[start : start + 700])]
    assert 29 <= len(frames) <= 31
    for frame in frames[1:]:
        assert frame is not None
        assert len(frame) == FRAME_SAMPLES
        assert 0.4 < np.abs(frame).max() < 0.55


async def test_what_may_end_a_turn_does_not_wait_for_others() -> None:
    """With a tick of an hour nothing is judged in time but what is urgent: much audio at once, and each frame that may end the turn."""
    engine = VadEngine(tick_seconds=3600)
    running = asyncio.create_task(engine.run())
    await engine.warm()
    caller = Caller(engine, ServerVad(silence_duration_ms=32))
    caller.stream.feed(silence(320) + speech("What time is it now?")[: 600 * 48])
    await eventually(lambda: bool(caller.events) and isinstance(caller.events[-1], Started), "speech to begin")
    while isinstance(caller.events[-1], Started):
        judged_ms = caller.judged_ms
        caller.stream.feed(noise(32, -50))
        await eventually(lambda before=judged_ms: caller.judged_ms > before, "the frame to be judged")  # type: ignore[misc]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_batch_does_not_wait_for_more() -> None:
    """With a tick of an hour: a frame of so many callers is judged as soon as the last of them is there."""
    engine = VadEngine(tick_seconds=3600)
    running = asyncio.create_task(engine.run())
    await engine.warm()
    callers = [Caller(engine) for _ in range(LARGEST_BATCH)]
    for caller in callers:
        caller.stream.feed(noise(32, -40))
    await eventually(lambda: all(caller.judged_ms == 32 for caller in callers), "all frames to be judged")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_frames_are_patient_unless_an_interruption_or_the_end_of_a_turn_hangs_on_them(engine: VadEngine) -> None:
    stream = Caller(engine).stream
    found = [stream.is_patient]
    for change in (stream.guard, stream.watch):
        for value in (True, False):
            change(value)
            found.append(stream.is_patient)
    assert found == [True, False, True, False, True]
