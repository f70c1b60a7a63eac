"""`python -m tests.support.ledger_process URL NUMBER SESSIONS`: a replica of the ledger that many sessions ask at once.

Prints as JSON how many leases it granted, how many it refused, and how long each answer took, in milliseconds.
"""

import asyncio
import json
import sys
import time

from mistral_voice.contract.lease import LeaseGrant
from tests.support.ledger import a_report, a_request, ledger_at

NAMESPACES = 20
AT_ONCE = 64
CONCURRENT = 5


async def work(url: str, number: int, count: int, *, limited: bool) -> dict[str, object]:
    """Ask for leases of `count` sessions, `AT_ONCE` at a time; with limits, renew and release them too."""
    limit = CONCURRENT if limited else 1_000_000
    async with ledger_at(url, limits={"concurrentSessions": limit, "sessionSecondsPerPeriod": 10**9, "spendPerPeriod": "1000000"}) as world:
        begin, slots, took, granted = world.now, asyncio.Semaphore(AT_ONCE), [], []
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        started = time.perf_counter()

        async def session(index: int) -> None:
            name = f"r{number}-{index}"
            async with slots:
                asked = time.perf_counter()
                answer = await world.ledger.admit(a_request(name, namespace=f"team-{index % NAMESPACES}"))
                took.append((time.perf_counter() - asked) * 1000)
                if not isinstance(answer, LeaseGrant):
                    return
                granted.append(name)
                if limited:
                    await asyncio.gather(*(world.ledger.renew(a_report(name, seq=seq, seconds=seq, tokens=seq)) for seq in (2, 1, 2)))
                    if index % 2:
                        await world.ledger.release(a_report(name, seq=3, seconds=3, tokens=3))

        await asyncio.gather(*(session(index) for index in range(count)))
        seconds = time.perf_counter() - started
        assert world.now == begin
        return {"granted": granted, "refused": count - len(granted), "took": took, "seconds": seconds}


if __name__ == "__main__":
    result = asyncio.run(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), limited=sys.argv[4] == "limited"))
    sys.stdout.write(json.dumps(result) + "\n")
