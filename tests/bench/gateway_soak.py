"""`gateway-soak`: callers come and go for half an hour (`BENCH_SOAK_MINUTES`); memory must not grow. On demand only."""

import asyncio
import os
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.bench.gateway_place import gateway, simulated_mistral
from tests.bench.gateway_steady import script, sessions
from tests.bench.line import Line, at_most, progress
from tests.bench.load.callers import calling
from tests.bench.load.clips import make_clips
from tests.bench.load.plan import Behaviour, Report
from tests.bench.process import usage

SESSIONS = 50
MINUTES = 30.0
GOAL_GROWTH_MB = 5.0
_EVERY_SECONDS = 5.0
_SHARE = 0.2
"""Memory is compared between the first fifth after a warm-up of as long, and the last."""


def main() -> int:
    """Measure and print. Returns 0."""
    minutes = float(os.environ.get("BENCH_SOAK_MINUTES", MINUTES))
    with tempfile.TemporaryDirectory() as folder:
        resident, report = asyncio.run(_measure(sessions(SESSIONS), minutes * 60, Path(folder)))
    fifth = max(1, round(len(resident) * _SHARE))
    early, late = statistics.mean(resident[fifth : 2 * fifth]), statistics.mean(resident[-fifth:])
    progress(
        f"{minutes:g} minutes, {report.calls} calls, {len(report.turns)} turns, {report.unanswered} unanswered, {report.lost_calls} lost"
    )
    tenth = max(1, round(len(resident) / 10))
    progress("resident MB, each tenth of the time: " + ", ".join(f"{resident[at]:.0f}" for at in range(0, len(resident), tenth)))
    for error in report.errors[:5]:
        progress(f"callers: {error}")
    at_most("gateway-soak-growth", max(0.0, late - early), "MB", GOAL_GROWTH_MB).print()
    Line("gateway-soak-memory", late, "MB").print()
    Line("gateway-soak-calls", report.calls, "calls").print()
    Line("gateway-soak-lost", report.lost_calls, "calls", goal="0").print()
    return 0


async def _measure(count: int, length_seconds: float, folder: Path) -> tuple[list[float], Report]:
    resident: list[float] = []
    async with AsyncExitStack() as stack:
        mistral = await stack.enter_async_context(simulated_mistral(script(), folder))
        server = await stack.enter_async_context(gateway(mistral, folder))
        plan = server.plan(callers=count, clips=make_clips(folder), behaviour=Behaviour.CHURN)
        callers = await stack.enter_async_context(calling(plan, folder))
        await callers.measure()
        ends = time.monotonic() + length_seconds
        while time.monotonic() < ends:
            await asyncio.sleep(min(_EVERY_SECONDS, length_seconds / 20))
            resident.append(usage(server.pid).resident_megabytes)
        report = await callers.report()
    return resident, report
