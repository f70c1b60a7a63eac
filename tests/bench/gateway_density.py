"""`gateway-density`: what a session costs the gateway, in CPU time and memory, over TLS upstream; callers talk 40 % of the time.

The better of pipecat and livekit-agents (which has no transport here) is the peer, at its own highest steady count, by what one session
costs.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.gateway_memory import measure_memory
from tests.bench.gateway_peers import Peer, highest_steady, wanted
from tests.bench.gateway_steady import script, sessions, steady
from tests.bench.line import Line, at_most
from tests.bench.load.clips import make_clips

COUNTS = (50, 200)
GOAL_PERCENT = 0.35
GOAL_RATIO = 10.0
GOAL_IDLE_MB = 0.3
GOAL_REPLYING_MB = 1.0
GOAL_BASE_MB = 110.0


def main() -> int:
    """Measure and print. Returns 0."""
    asyncio.run(_measure())
    return 0


async def _better_peer(folder: Path) -> float:
    """Return what a session costs the better peer, in percent of a core."""
    found = [await highest_steady(peer, script(), make_clips(folder), folder) for peer in Peer]
    for one in found:
        Line(f"gateway-density-cpu-{one.peer.value}", one.cpu_per_session, f"% of a core/session, {one.callers} callers").print()
    return min(one.cpu_per_session for one in found)


async def _measure() -> None:
    largest = sessions(COUNTS[-1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = await _better_peer(folder) if wanted() else None
        for count in sorted({min(count, largest) for count in COUNTS}):
            cost = (await steady(count, folder)).cpu_per_session
            goal = f"<= {GOAL_PERCENT}, ratio >= {GOAL_RATIO:g}"
            ratio = peer / cost if peer else None
            Line(f"gateway-density-cpu-{count}", cost, "% of a core/session", goal, peer, ratio).print()
        memory = await measure_memory(largest, folder)
    at_most("gateway-density-memory-idle", memory.idle, "MB/session", GOAL_IDLE_MB).print()
    at_most("gateway-density-memory-replying", memory.replying, "MB/session", GOAL_REPLYING_MB).print()
    at_most("gateway-density-base", memory.base, "MB", GOAL_BASE_MB).print()
