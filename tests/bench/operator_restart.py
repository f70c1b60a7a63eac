"""A restart with ten thousand integrations in good order: how long until each was reconciled once, and what is written."""

import asyncio
import time

from mistral_voice.controller.streams import INTEGRATION
from tests.bench import requests
from tests.bench.clones import populate
from tests.bench.line import Line, at_most, progress, runs, size
from tests.bench.place import Bench, bench
from tests.bench.process import usage
from tests.bench.visits import visits
from tests.support.waiting import eventually

GOAL_SECONDS = 20.0
INTERVAL_SECONDS = 86400
"""The longest: no check is due while the benchmark runs, but for one in ten thousand every few seconds."""
_TIMEOUT_SECONDS = 900.0


def main() -> int:
    """Measure and print. Returns 0."""
    asyncio.run(_measure(size(10_000), runs(3)))
    return 0


async def _measure(count: int, times: int) -> None:
    async with bench(count) as place:
        progress(f"{count} integrations with their children are made")
        await populate(place, count, interval_seconds=INTERVAL_SECONDS)
        assert len(await place.client.list_all(INTEGRATION, metadata_only=True)) == count
        before, events = requests.writes(place.cluster), await requests.events(place.client)
        measured = [await _restarted(place, count, number) for number in range(1, times + 1)]
        written = requests.writes(place.cluster) - before
        written["events"] = await requests.events(place.client) - events
    seconds, cpu = (sorted(column)[times // 2] for column in zip(*measured, strict=True))
    at_most("operator-restart", seconds, "s", GOAL_SECONDS, runs=times).print()
    Line("operator-restart-cpu", cpu, "s", runs=times).print()
    if sum(written.values()):
        progress(f"written: {dict(written)}")
    Line("operator-restart-writes", sum(written.values()), "writes", "<= 0", runs=times).print()


async def _restarted(place: Bench, count: int, number: int) -> tuple[float, float]:
    started = time.monotonic()
    async with place.operator(identity=f"operator-{number}", wait_ready=False) as operator:
        await eventually(operator.ready, "the operator to be ready", _TIMEOUT_SECONDS, 0.1)
        ready = time.monotonic() - started
        await eventually(lambda: visits(operator, at_least=count), "all integrations to be reconciled", _TIMEOUT_SECONDS, 0.5)
        seconds = time.monotonic() - started
        used = usage(operator.process.pid)
        progress(
            f"run {number}: ready after {ready:.1f} s, all reconciled after {seconds:.1f} s, "
            f"CPU {used.cpu_seconds:.1f} s, resident {used.resident_megabytes:.0f} MB"
        )
    return seconds, used.cpu_seconds
