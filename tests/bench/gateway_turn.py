"""`gateway-turn`: how long a caller waits for the answer, when Mistral takes as long as it does in life.

From the last voiced frame sent to the first audio of the reply, by turn detection: `server_vad` (500 ms of silence), `semantic_vad`
(Mistral's turn events end the turn), and `speculation` (its early sign begins the reply). One utterance in three has a pause for thought of
700 ms: an answer into it is a false cut-in. pipecat and livekit-agents do the same work with 500 ms of silence.

The times are drawn, with a fixed seed, from log-normal distributions: the last of the transcript 120 ms after its end (95 % within 250),
the first clause of the reply after 380 ms (700), the first audio of speech after 220 ms (400). The early sign follows 200 ms of silence;
the simulated turn detection waits through 9 pauses of 10.
"""

import asyncio
import math
import random
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.gateway_peers import Peer, measure_peer, wanted
from tests.bench.gateway_place import gateway, simulated_mistral
from tests.bench.gateway_steady import percentile, seconds, sessions
from tests.bench.line import Line, progress
from tests.bench.load.callers import calling
from tests.bench.load.clips import make_clips, make_hesitant_clips
from tests.bench.load.plan import Clip, Report

SESSIONS = 20
PEER_CALLERS = 5
"""As many as both of them keep up with at ease."""
LENGTH_SECONDS = 60.0
PAUSE_MS = 700
GOAL_GAIN_MS = 300.0
_DRAWN = 400
_WORDS = "one two three four five six seven eight ."
"""The words come while they are spoken; what is left for the end is the full stop."""
_WORD_MS = 440
_NEVER_MS = 60_000


@dataclass(frozen=True)
class Way:
    """A way to detect the end of a turn: its name, the client's settings, and whether Mistral gives its early sign."""

    name: str
    turn_detection: dict[str, Any]
    eager: bool = False


WAYS = (
    Way("server_vad", {"type": "server_vad"}),
    Way("semantic_vad", {"type": "semantic_vad"}),
    Way("speculation", {"type": "semantic_vad"}, eager=True),
)


def main() -> int:
    """Measure and print. Returns 0."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder)))
    return 0


async def _measure(folder: Path) -> None:
    plain, hesitant = make_clips(folder), make_hesitant_clips(folder, PAUSE_MS)
    clips = (plain[0], plain[1], hesitant[0], plain[2], plain[3], hesitant[1])
    medians: dict[str, float] = {}
    for way in WAYS:
        report = await _by_the_gateway(way, clips, folder)
        medians[way.name] = _print(way.name, report)
    gain = medians["server_vad"] - medians["speculation"]
    Line("gateway-turn-speculation-gain", gain, "ms at p50", f">= {GOAL_GAIN_MS:g}", ratio=gain / GOAL_GAIN_MS).print()
    if wanted():
        for peer in Peer:
            found = await measure_peer(peer, PEER_CALLERS, life_like(eager=False), clips, folder, length_seconds=LENGTH_SECONDS)
            _print(peer.value, found.report)


async def _by_the_gateway(way: Way, clips: tuple[Clip, ...], folder: Path) -> Report:
    async with AsyncExitStack() as stack:
        mistral = await stack.enter_async_context(simulated_mistral(life_like(eager=way.eager), folder))
        server = await stack.enter_async_context(gateway(mistral, folder))
        session = {"audio": {"input": {"turn_detection": way.turn_detection}}}
        plan = server.plan(callers=sessions(SESSIONS), clips=clips, session=session)
        callers = await stack.enter_async_context(calling(plan, folder))
        await asyncio.sleep(5.0)
        await callers.measure()
        await asyncio.sleep(seconds(LENGTH_SECONDS))
        return await callers.report()


def _print(name: str, report: Report) -> float:
    """Print what was measured in one way; returns the median."""
    waited = sorted(turn.voice_ms for turn in report.turns if turn.voice_ms is not None)
    cuts = sum(turn.was_cut for turn in report.turns)
    progress(f"{name}: {len(waited)} answers, {cuts} into the caller's words, {report.unanswered} missing")
    for error in report.errors[:3]:
        progress(f"callers: {error}")
    median = percentile(waited, 0.5)
    Line(f"gateway-turn-{name}-p50", median, "ms").print()
    Line(f"gateway-turn-{name}-p95", percentile(waited, 0.95), "ms").print()
    Line(f"gateway-turn-{name}-cut-ins", cuts / max(1, len(report.turns)) * 100, "% of turns").print()
    return median


def life_like(*, eager: bool) -> dict[str, Any]:
    """Return a script with the times of life."""
    chance = random.Random(20261122)
    turn = {"text": _WORDS, "word_ms": _WORD_MS}
    turns = [{**turn, "final_delay_ms": drawn(chance, 120, 250), "waits_for_words": number % 10 != 0} for number in range(_DRAWN)]
    tokens = ["Here is the answer that you asked for: tomorrow", " will", " be", " sunny", " and", " warm."]
    return {
        "transcription": {
            "listening": "energy",
            "eager_end_ms": 200 if eager else _NEVER_MS,
            "conversations": [[turn] for turn in turns],
        },
        "chat": {"replies": [{"tokens": tokens, "first_token_ms": drawn(chance, 380, 700), "token_ms": 20} for _ in range(_DRAWN)]},
        "speech": {
            "first_audio_in_turn_ms": [drawn(chance, 220, 400) for _ in range(_DRAWN)],
            "ms_per_character": 45,
            "speed": 3,
        },
    }


def drawn(chance: random.Random, median_ms: float, p95_ms: float) -> int:
    """Return a time from the log-normal distribution with this median and 95th percentile."""
    spread = math.log(p95_ms / median_ms) / 1.645
    return round(chance.lognormvariate(math.log(median_ms), spread))
