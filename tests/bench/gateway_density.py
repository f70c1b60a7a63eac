"""`gateway-density`: what a session costs the gateway, in CPU time and memory, over TLS upstream; callers talk 40 % of the time."""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.gateway_memory import measure_memory
from tests.bench.gateway_steady import sessions, steady
from tests.bench.line import at_most

COUNTS = (50, 200)
GOAL_PERCENT = 0.35
GOAL_IDLE_MB = 0.3
GOAL_REPLYING_MB = 1.0
GOAL_BASE_MB = 110.0


def main() -> int:
    """Measure and print. Returns 0."""
    asyncio.run(_measure())
    return 0


async def _measure() -> None:
    largest = sessions(COUNTS[-1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in sorted({min(count, largest) for count in COUNTS}):
            found = await steady(count, folder)
            at_most(f"gateway-density-cpu-{count}", found.cpu_per_session, "% of a core/session", GOAL_PERCENT).print()
        memory = await measure_memory(largest, folder)
    at_most("gateway-density-memory-idle", memory.idle, "MB/session", GOAL_IDLE_MB).print()
    at_most("gateway-density-memory-replying", memory.replying, "MB/session", GOAL_REPLYING_MB).print()
    at_most("gateway-density-base", memory.base, "MB", GOAL_BASE_MB).print()
