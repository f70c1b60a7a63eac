"""`python -m tests.support.ledger_process URL NUMBER SESSIONS`: a replica of the ledger that many sessions ask at once.

Prints as JSON how many leases it granted, how many it refused, and how long each answer took, in milliseconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from mistral_voice.contract.lease import LeaseGrant
from mistral_voice.controlplane.ledger.ledger import LedgerUnavailable
from tests.support.ledger import a_report, a_request, ledger_at

NAMESPACES = 20
AT_ONCE = 64
CONCURRENT = 5


Answer = TypeVar("Answer")


async def until_answered(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask as brokers do: again, until the ledger's database answers."""
    while True:
        try:
            return await ask()
        except LedgerUnavailable:
            await asyncio.sleep(0.05)


async def work(url: str, number: int, count: int, how: str) -> dict[str, object]:
    """Ask for leases of `count` sessions, `AT_ONCE` at a time.

    `unlimited` only asks; `limited`, where few sessions are allowed, and `enduring`, where many are, renew and release them too.
    """
    limit = CONCURRENT if how == "limited" else 1_000_000
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
                wanted = a_request(name, namespace=f"team-{index % NAMESPACES}")
                answer = await until_answered(lambda: world.ledger.admit(wanted))
                took.append((time.perf_counter() - asked) * 1000)
                if not isinstance(answer, LeaseGrant):
                    return
                granted.append(name)
                if how != "unlimited":
                    reports = [a_report(name, seq=seq, seconds=seq, tokens=seq) for seq in (2, 1, 2)]
                    await asyncio.gather(*(until_answered(partial(world.ledger.renew, report)) for report in reports))
                    if index % 2:
                        await until_answered(lambda: world.ledger.release(a_report(name, seq=3, seconds=3, tokens=3)))

        await asyncio.gather(*(session(index) for index in range(count)))
        seconds = time.perf_counter() - started
        assert world.now == begin
        return {"granted": granted, "refused": count - len(granted), "took": took, "seconds": seconds}


if __name__ == "__main__":
    result = asyncio.run(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    sys.stdout.write(json.dumps(result) + "\n")
