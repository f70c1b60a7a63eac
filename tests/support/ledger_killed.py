"""What must be true after a replica of the ledger was killed in the midst of its transactions."""

import subprocess
import sys
from collections.abc import Callable

from mistral_voice.controlplane.store import schema
from tests.support.ledger import a_request, ledger_at
from tests.support.ledger_process import CONCURRENT, NAMESPACES
from tests.support.waiting import eventually


async def what_was_committed_is_whole(url: str, is_at_rest: Callable[[], bool] = lambda: True) -> None:
    """Kill a process while it grants, renews and releases; what it leaves must add up, and all that it held be free again.

    `is_at_rest` tells whether nobody else works on the database: a server may yet commit what it was told by who is killed.
    """
    async with ledger_at(url) as world:
        command = [sys.executable, "-m", "tests.support.ledger_process", url, "0", "20000", "limited"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("go\n")
            process.stdin.flush()

            async def at_work() -> bool:
                return (await world.charged())[0] > 20_000

            await eventually(at_work, "what it charges")
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()
        await eventually(is_at_rest, "the end of what was begun")
        counted = await world.rows(schema.usage)
        assert await world.charged() == await world.balanced()
        assert (await world.charged())[0] == sum(row["session_ms"] for row in counted)
        holds = await world.rows(schema.holds)
        assert {row["session"] for row in holds} <= {row["session"] for row in counted if row["state"] == "Open"}
        assert len(holds) <= CONCURRENT * NAMESPACES
        world.now += 1000
        while await world.ledger.sweep():
            pass
        assert await world.held() == 0
        estimated = sum(row["estimated_ms"] for row in await world.rows(schema.usage))
        assert estimated <= len(holds) * 30_000
        assert await world.charged() == await world.balanced()
        assert (await world.charged())[0] == sum(row["session_ms"] for row in counted) + estimated
        await world.ledger.admit(a_request("after"))
        assert await world.held() == 1
