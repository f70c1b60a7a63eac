"""Callers in steady conversation with a gateway, and what each process uses meanwhile."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.gateway_place import gateway, simulated_mistral
from tests.bench.line import progress
from tests.bench.load.callers import calling
from tests.bench.load.clips import make_clips
from tests.bench.load.plan import Report
from tests.bench.process import usage

FINAL_WORDS_MS = 60
FIRST_TOKEN_MS = 150
FIRST_SPEECH_MS = 100
SCRIPTED_MS = FINAL_WORDS_MS + FIRST_TOKEN_MS + FIRST_SPEECH_MS
"""What the scripted Mistral takes from the end of a turn to the first audio of its reply."""
SETTLE_SECONDS = 12.0
"""So long every caller has spoken once."""
MOST_LATE_MS = 10.0


def script() -> dict[str, Any]:
    """Return what Mistral does: words while they are spoken, a reply of some four seconds whose first token holds its first clause."""
    tokens = ["Here is the answer that you asked for: tomorrow", " will", " be", " sunny", " and", " warm,", " with", " little", " wind."]
    return {
        "transcription": {
            "listening": "anything",
            "turns": [{"text": "What will the weather be like tomorrow in Paris?", "word_ms": 300, "final_delay_ms": FINAL_WORDS_MS}],
        },
        "chat": {"replies": [{"tokens": tokens, "first_token_ms": FIRST_TOKEN_MS, "token_ms": 20}]},
        "speech": {"first_audio_ms": FIRST_SPEECH_MS, "ms_per_character": 45, "speed": 3},
    }


@dataclass(frozen=True)
class Steady:
    """What was measured in steady conversation. CPU in percent of a core, memory in megabytes."""

    sessions: int
    gateway_cpu: float
    simulator_cpu: float
    memory: float
    report: Report

    @property
    def cpu_per_session(self) -> float:
        """The gateway's share of a core for each session, in percent."""
        return self.gateway_cpu / self.sessions

    @property
    def added_ms(self) -> list[float]:
        """What each reply took beyond the scripted parts, sorted."""
        return sorted(turn.stop_ms - SCRIPTED_MS for turn in self.report.turns if turn.stop_ms is not None)


def sessions(default: int) -> int:
    """Return how many callers there are: `BENCH_SESSIONS`, for development, or what the goal names."""
    return int(os.environ.get("BENCH_SESSIONS", default))


def seconds(default: float) -> float:
    """Return how long to measure: `BENCH_SECONDS` or the default."""
    return float(os.environ.get("BENCH_SECONDS", default))


def percentile(ordered: list[float], share: float) -> float:
    """Return the value that this share of sorted values doesn't exceed. Raises ValueError if there are none."""
    if not ordered:
        raise ValueError("Nothing was measured: no reply came in time.")
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def steady(count: int, folder: Path, **plan: Any) -> Steady:
    """Let so many callers converse; measure once all of them have spoken."""
    async with AsyncExitStack() as stack:
        mistral = await stack.enter_async_context(simulated_mistral(script(), folder))
        server = await stack.enter_async_context(gateway(mistral, folder))
        call_plan = server.plan(callers=count, clips=make_clips(folder), **plan)
        callers = await stack.enter_async_context(calling(call_plan, folder))
        await asyncio.sleep(SETTLE_SECONDS)
        await callers.measure()
        pids, started = (server.pid, mistral.pid), time.monotonic()
        before = [usage(pid).cpu_seconds for pid in pids]
        await asyncio.sleep(seconds(30.0))
        after, took = [usage(pid) for pid in pids], time.monotonic() - started
        report = await callers.report()
    shares = [(used.cpu_seconds - start) / took * 100 for used, start in zip(after, before, strict=True)]
    found = Steady(count, shares[0], shares[1], after[0].resident_megabytes, report)
    _tell(found)
    return found


def _tell(found: Steady) -> None:
    report = found.report
    progress(
        f"{found.sessions} sessions: CPU of the gateway {found.gateway_cpu:.1f} %, simulator {found.simulator_cpu:.1f} %, callers"
        f" {report.cpu_percent:.1f} %; {len(report.turns)} replies, {report.unanswered} unanswered; resident {found.memory:.0f} MB"
    )
    if added := found.added_ms:
        progress(f"added ms p50 {percentile(added, 0.5):.1f}, p95 {percentile(added, 0.95):.1f}, p99 {percentile(added, 0.99):.1f}")
    if voiced := sorted(turn.voice_ms for turn in report.turns if turn.voice_ms is not None):
        progress(f"end of speech to first audio ms p50 {percentile(voiced, 0.5):.0f}, p95 {percentile(voiced, 0.95):.0f}")
    if report.late_ms > MOST_LATE_MS:
        progress(f"the callers were late by {report.late_ms:.0f} ms (p99): this machine is too busy for these figures")
    for error in report.errors[:5]:
        progress(f"callers: {error}")
