"""Ten thousand integrations in good order and nothing to do: what the operator costs while it waits, and while it checks.

Every 30 s its metrics are scraped, as Prometheus does. The first part has no health check due; the second has one for each integration
every 300 s, with a hundred distinct keys.
"""

import asyncio
import os
import time

from mistral_voice.controller.streams import INTEGRATION
from tests.bench.clones import populate
from tests.bench.line import Line, at_most, progress, size
from tests.bench.place import bench
from tests.bench.process import Usage, usage
from tests.bench.visits import visits
from tests.support.operator import OperatorProcess
from tests.support.waiting import eventually

GOAL_MEGABYTES = 300.0
GOAL_PERCENT = 3.0
SCRAPE_SECONDS = 30.0
NEVER_SECONDS = 86400
USUAL_SECONDS = 300
_TIMEOUT_SECONDS = 900.0


def main() -> int:
    """Measure and print. Returns 0."""
    count, scrapes = size(10_000), int(os.environ.get("BENCH_SCRAPES", "4"))
    quiet = asyncio.run(_measure(count, NEVER_SECONDS, scrapes))
    at_most("operator-idle-memory", quiet[1].resident_megabytes, "MB", GOAL_MEGABYTES).print()
    Line("operator-idle-memory-peak", quiet[1].peak_megabytes, "MB").print()
    at_most("operator-idle-cpu", quiet[0], "% of a core", GOAL_PERCENT).print()
    probing = asyncio.run(_measure(count, USUAL_SECONDS, scrapes))
    Line("operator-idle-probing", probing[0], "% of a core").print()
    Line("operator-idle-probing-memory", probing[1].resident_megabytes, "MB").print()
    return 0


async def _measure(count: int, interval_seconds: int, scrapes: int) -> tuple[float, Usage]:
    """Return the share of a core in percent, and the usage at the end."""
    async with bench(count) as place:
        progress(f"{count} integrations with their children, one check each every {interval_seconds} s")
        await populate(place, count, interval_seconds=interval_seconds)
        assert len(await place.client.list_all(INTEGRATION, metadata_only=True)) == count
        async with place.operator(wait_ready=False) as operator:
            await eventually(operator.ready, "the operator to be ready", _TIMEOUT_SECONDS, 0.5)
            await eventually(lambda: visits(operator, at_least=count), "all integrations to be reconciled", _TIMEOUT_SECONDS, 0.5)
            await _scraped(operator, 1)  # What the start left to be done is over.
            before, started = usage(operator.process.pid), time.monotonic()
            await _scraped(operator, scrapes)
            after, seconds = usage(operator.process.pid), time.monotonic() - started
        progress(f"resident {after.resident_megabytes:.0f} MB, CPU {after.cpu_seconds - before.cpu_seconds:.2f} s in {seconds:.0f} s")
        return (after.cpu_seconds - before.cpu_seconds) / seconds * 100, after


async def _scraped(operator: OperatorProcess, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(SCRAPE_SECONDS)
        status, _ = await operator.get("/metrics")
        assert status == 200, status
