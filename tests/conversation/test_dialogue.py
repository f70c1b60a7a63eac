"""Ten spoken turns with interruptions, through a gateway process and the live simulator, judged by the words that arrive on both sides.

The bound of 15 % is for the whole dialogue, on either side. The ears and the voice are those of the live simulator (PocketSphinx and
Piper), who get about one word in thirty of these sentences wrong between themselves: 2 to 3 % is what a dialogue without fault measures. A
turn that is lost, cut, said twice or mixed with another costs about five words of fifty-six, and two of them break the bound.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from mistral_voice.simulator.clock import SystemClock
from mistral_voice.simulator.live.recogniser import RecogniserPool
from mistral_voice.simulator.live.recogniser_process import SAMPLE_RATE
from mistral_voice.simulator.live.temperament import start_live
from tests.conversation.caller import Caller
from tests.support.gateway import gateway_process
from tests.support.simulator import running_simulator
from tests.support.speech import RATE_HZ, speech
from tests.support.words import word_error_rate, words

WORST_ERROR_RATE = 0.15
MOST_FAILURES = 4
"""The simulated ears share this machine with the rest: on a very busy one they may miss the gateway's deadline for a transcript."""
FEWEST_CUTS = 2
"""Of three: a question that was misunderstood may get an answer too short to be cut.

What the caller did not hear to its end is cut, also where the gateway had said all of it: a busy machine hears the caller later.
"""


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
    Turn("Can you tell me a joke?", cut_after_ms=1500),
    Turn("What is the weather like today?"),
    Turn("What is the capital of Japan?"),
    Turn("What can you do?", cut_after_ms=1500),
    Turn("What is the capital of France?"),
)


async def test_ten_turns_with_interruptions_are_understood_on_both_sides(tmp_path: Path) -> None:
    live = await start_live(SystemClock(), 2)
    async with running_simulator(temperament=live) as mistral, gateway_process(mistral, tmp_path) as gateway, gateway.connect() as client:
        await client.update(audio={"input": {"transcription": {"model": "default"}}})
        caller = Caller(client)
        await converse(caller)
    heard, played = caller.transcripts, await understood([reply.heard for reply in caller.replies])
    story = report(caller, played)
    assert not client.all("error"), story
    assert caller.failures <= MOST_FAILURES, story
    assert len(caller.replies) == len(TURNS), story
    assert sum(reply.cut_at_ms is not None for reply in caller.replies) >= FEWEST_CUTS, story
    assert error_rate([turn.question for turn in TURNS], heard) <= WORST_ERROR_RATE, story
    assert error_rate([expected(caller, number) for number in range(len(caller.replies))], played) <= WORST_ERROR_RATE, story
    for reply in caller.replies:
        kept = words(caller.kept.get(reply.item_id, ""))
        assert words(reply.text)[: len(kept)] == kept, story


async def converse(caller: Caller) -> None:
    """Ask and listen, turn by turn."""
    async with asyncio.TaskGroup() as both:
        running = [both.create_task(caller.speak_on()), both.create_task(caller.listen_on())]
        for number, turn in enumerate(TURNS, 1):
            await caller.ask(speech(turn.question))
            if turn.cut_after_ms is not None:
                await caller.hears(turn.cut_after_ms)
            else:
                await caller.until(lambda: caller.replies[-1].status == "completed", f"the end of reply {number}")
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


async def understood(recordings: list[bytes]) -> list[str]:
    """Return the words that speech recognition finds in each recording."""
    ears = RecogniserPool()
    await ears.start(workers=1)
    try:
        return [await ears.hear(at_the_ears_rate(recording)) for recording in recordings]
    finally:
        await ears.close()


def at_the_ears_rate(recording: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    samples = np.frombuffer(recording, "<i2").astype(np.float32) / np.float32(32768)
    resampled: np.ndarray[tuple[int], np.dtype[np.float32]] = soxr.resample(samples, RATE_HZ, SAMPLE_RATE)
    return resampled


def report(caller: Caller, played: list[str]) -> str:
    """The dialogue, to read, with both error rates."""
    lines = [
        f"{turn.question!r} → {heard!r}; {reply.status}: {expected(caller, number)!r} → {sound!r}"
        for number, (turn, heard, reply, sound) in enumerate(zip(TURNS, caller.transcripts, caller.replies, played, strict=False))
    ]
    asked = error_rate([turn.question for turn in TURNS], caller.transcripts)
    answered = error_rate([expected(caller, number) for number in range(len(caller.replies))], played)
    return "\n".join([*lines, f"word error rate: of the questions {asked:.1%}, of the replies {answered:.1%}"])
