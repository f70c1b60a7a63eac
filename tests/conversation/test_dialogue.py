"""Ten spoken turns with interruptions, through a gateway process, judged by the words that arrive on both sides.

The voice is Piper's. What the gateway is told of a question is written down, so that nothing depends on how quick a recogniser is. What it
really sent of the caller's voice is recognised afterwards, when there is time, and so is what the caller heard of the replies.

The bound of 15 % is for the whole dialogue, on either side. PocketSphinx and Piper get about one word in thirty of these sentences wrong
between themselves: 0 to 6 % is what a dialogue without fault measures. A turn that is lost, cut, said twice or mixed with another costs
about five words of fifty-four, and two of them break the bound. Nothing else is forgiven: no reply fails, and what was to be cut, and
that alone, is cut.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soxr

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.clock import SystemClock
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.live.mind import answer
from mistral_voice.simulator.live.recogniser_process import SAMPLE_RATE
from mistral_voice.simulator.live.temperament import LiveTemperament, start_live
from mistral_voice.simulator.script import Listening, ScriptInUse, TranscriptionScript, TurnScript
from mistral_voice.simulator.scripted.ear import ScriptedEar
from mistral_voice.simulator.scripted.temperament import ScriptedTemperament
from mistral_voice.simulator.temperament import Heard, Piece, Reply
from mistral_voice.simulator.voices import Voice
from mistral_voice.simulator.wire.chat import ChatRequest
from mistral_voice.simulator.wire.transcription import Session
from tests.conversation.caller import Caller
from tests.support.gateway import gateway_process
from tests.support.simulator import running_simulator
from tests.support.speech import RATE_HZ, speech
from tests.support.words import word_error_rate, words

WORST_ERROR_RATE = 0.15
STORY = (
    "I can tell you the time, and I can answer simple questions. Madrid is the capital of Spain. Tokyo is the capital of Japan. "
    "The capital of England is London. The sun is shining and it is warm outside. Paris is the capital of France. "
    "It was nice to talk with you. The capital of Germany is the city of Berlin."
)
"""The answer to "What can you do?": so long that the caller cuts into it however late a busy machine lets them be heard."""


@dataclass(frozen=True)
class Turn:
    """What the caller asks, and after how much of the answer they cut in with the next question."""

    question: str
    cut_after_ms: int | None = None


TURNS = (
    Turn("What is the capital of France?"),
    Turn("What can you do?", cut_after_ms=1200),
    Turn("What is two plus two?"),
    Turn("What is the capital of Germany?"),
    Turn("What is the capital of Spain?"),
    Turn("What can you do?", cut_after_ms=2500),
    Turn("What is the weather like today?"),
    Turn("What is the capital of Japan?"),
    Turn("What can you do?", cut_after_ms=1500),
    Turn("What is the capital of France?"),
)


class RecordingEar(ScriptedEar):
    """Keeps what it hears."""

    recorded: list[Samples]

    async def hear(self, samples: Samples) -> Sequence[Heard]:
        self.recorded.append(samples)
        return await super().hear(samples)


class Partner(ScriptedTemperament):
    """Understands at once which turn it is, and speaks with a voice. `recorded` is what it was sent of each turn, at which rate."""

    def __init__(self, live: LiveTemperament) -> None:
        super().__init__(SystemClock())
        self.live = live
        self.turn = 0
        self.recorded: dict[int, tuple[int, list[Samples]]] = {}

    async def ear(self, session: Session, script: ScriptInUse, dialect: Dialect) -> ScriptedEar:
        turns = [TurnScript(text=TURNS[self.turn].question, word_ms=50)]
        ear = RecordingEar(session, TranscriptionScript(listening=Listening.ANYTHING), turns, dialect)
        ear.recorded = []
        self.recorded[self.turn] = session.audio_format.sample_rate, ear.recorded
        return ear

    async def reply(self, request: ChatRequest, script: ScriptInUse, session: str | None) -> Reply:
        asked = request.messages[-1].text()
        text = STORY if "can you do" in asked else answer(asked, SystemClock().wall())
        return Reply([Piece(100 + number * 10, token) for number, token in enumerate(re.findall(r"\s*\S+", text))])

    def speak(self, text: str, voice: Voice | None, script: ScriptInUse, sample_rate: int) -> AsyncIterator[Samples]:
        return self.live.speak(text, voice, script, sample_rate)

    async def close(self) -> None:
        await self.live.close()

    async def understood(self, samples: Samples, rate_hz: int) -> str:
        """Return the words in a recording."""
        return await self.live.recognisers.hear(np.asarray(soxr.resample(samples, rate_hz, SAMPLE_RATE), np.float32))


@pytest.mark.spoken
async def test_ten_turns_with_interruptions_are_understood_on_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for turn in TURNS:
        speech(turn.question)
    partner = Partner(await start_live(SystemClock(), 1))
    async with running_simulator(temperament=partner) as mistral:
        async with gateway_process(mistral, tmp_path) as gateway, gateway.connect() as client:
            await client.update(audio={"input": {"transcription": {"model": "default"}}})
            caller = Caller(client)
            await converse(caller, partner)
        sent = [await partner.understood(np.concatenate(recorded), rate) for rate, recorded in partner.recorded.values()]
        played = [await partner.understood(samples_of(reply.heard), RATE_HZ) for reply in caller.replies]
    story = report(caller, sent, played)
    with capsys.disabled():
        print("\n" + story.splitlines()[-1])
    assert not client.all("error"), story
    assert caller.transcripts == [turn.question for turn in TURNS], story
    assert [reply.cut_at_ms is not None for reply in caller.replies] == [turn.cut_after_ms is not None for turn in TURNS], story
    assert [reply.status for reply in caller.replies] == ["cancelled" if turn.cut_after_ms else "completed" for turn in TURNS], story
    assert error_rate([turn.question for turn in TURNS], sent) <= WORST_ERROR_RATE, story
    assert error_rate([expected(caller, number) for number in range(len(TURNS))], played) <= WORST_ERROR_RATE, story
    for reply in caller.replies:
        kept = words(caller.kept.get(reply.item_id, ""))
        assert words(reply.text)[: len(kept)] == kept, story


async def converse(caller: Caller, partner: Partner) -> None:
    """Ask and listen, turn by turn."""
    async with asyncio.TaskGroup() as both:
        running = [both.create_task(caller.speak_on()), both.create_task(caller.listen_on())]
        for number, turn in enumerate(TURNS):
            partner.turn = number
            await caller.ask(speech(turn.question))
            if turn.cut_after_ms is not None:
                await caller.hears(turn.cut_after_ms)
            else:
                await caller.until(lambda: caller.replies[-1].status == "completed", f"the end of reply {number + 1}")
                await caller.hears(len(caller.replies[-1].audio) // 48)
        for task in running:
            task.cancel()


def expected(caller: Caller, number: int) -> str:
    """The words that the caller heard of a reply: of a cut one, those that the gateway says were heard."""
    reply = caller.replies[number]
    return caller.kept.get(reply.item_id, reply.text)


def error_rate(said: list[str], heard: list[str]) -> float:
    """The word error rate of all sentences together."""
    return word_error_rate(" ".join(said), " ".join(heard))


def samples_of(recording: bytes) -> Samples:
    """Return PCM16 as samples within ±1."""
    return np.frombuffer(recording, "<i2").astype(np.float32) / np.float32(32768)


def report(caller: Caller, sent: list[str], played: list[str]) -> str:
    """The dialogue, to read, with both error rates."""
    lines = [
        f"{turn.question!r} → {heard!r}, by ear {by_ear!r}; {reply.status}: {expected(caller, number)!r} → {sound!r}"
        for number, (turn, heard, by_ear, reply, sound) in enumerate(
            zip(TURNS, caller.transcripts, sent, caller.replies, played, strict=False)
        )
    ]
    asked = error_rate([turn.question for turn in TURNS], sent)
    answered = error_rate([expected(caller, number) for number in range(len(caller.replies))], played)
    return "\n".join([*lines, f"word error rate: of the questions {asked:.1%}, of the replies {answered:.1%}"])
