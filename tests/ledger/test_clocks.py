"""Replicas whose clocks are wrong: the database's decides."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import psycopg

from mistral_voice.contract.lease import KeyOutcome, KeyReport, KeySync, LeaseGrant
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.ledger import Ledger
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import Database, open_database
from mistral_voice.controlplane.store.retention import Removed, Retention, remove_old
from tests.support.ledger import KEY, World, a_plan, a_report, a_request

DAY = 86_400
QUANTUM = 300
"""No lease runs out in the course of a test."""


@asynccontextmanager
async def replica(url: str, ahead: float) -> AsyncIterator[tuple[Database, Ledger]]:
    """A replica whose clock is so many seconds ahead of this machine's, with a plan that counts by the day."""
    plans = {"standard": KnownPlan(a_plan(limits={"concurrentSessions": 2}, period="Day", quantumSeconds=QUANTUM))}
    async with open_database(url, own_clock=lambda: time.time() + ahead) as database:
        ledger = Ledger(database, lambda: plans, lambda *_: KEY)
        running = asyncio.create_task(ledger.run())
        try:
            yield database, ledger
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def servers_now(url: str) -> float:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        return float(row[0])


async def test_replicas_days_apart_grant_settle_and_count_as_one(fresh: Callable[[], str]) -> None:
    url = fresh()
    async with AsyncExitStack() as closing:
        began = servers_now(url)
        right, behind, ahead = [await closing.enter_async_context(replica(url, days * DAY)) for days in (0, -3, 40)]
        for number, (_, ledger) in enumerate((behind, ahead)):
            granted = await ledger.admit(a_request(f"s{number}"))
            assert isinstance(granted, LeaseGrant)
            assert granted.lease_seconds == QUANTUM
        # Each sees the others' leases as they are: none is over, and none hides.
        for _, ledger in (right, behind, ahead):
            assert await ledger.sweep() == 0
            assert not isinstance(await ledger.admit(a_request("third")), LeaseGrant)
        for seq, (_, ledger) in enumerate((ahead, right, behind, ahead), start=1):
            renewed = await ledger.renew(a_report("s0", seq=seq, seconds=seq))
            assert isinstance(renewed, LeaseGrant)
        ended = servers_now(url)
        world = World(right[0], {})
        for hold in await world.rows(schema.holds):
            assert began + QUANTUM <= hold["expires_at"] / 1000 <= ended + QUANTUM + 1
        days = {datetime.fromtimestamp(moment, UTC).date().isoformat() for moment in (began, ended)}
        assert {row["period"] for row in await world.rows(schema.entries)} <= days
        assert await world.charged() == (4000, 0) == await world.balanced()
        assert [await remove_old(database, Retention(1, 1, 1)) for database, _ in (right, behind, ahead)] == [Removed()] * 3


async def test_a_key_rests_by_the_databases_clock_whichever_replica_looks(fresh: Callable[[], str]) -> None:
    """A replica whose clock is ahead must not take a key back into use before Mistral's time is over."""

    url = fresh()
    pool = KeyPoolSpecification.model_validate({"keys": [{"name": "first", "secretRef": {"name": "mistral-1"}}]})
    async with replica(url, 0) as (right, _), replica(url, 40 * DAY) as (ahead, _):
        rings = [KeyRing(database, lambda: {"main": pool}) for database in (right, ahead)]
        assert (await rings[0].sync(KeySync("broker"))).probe
        probed = KeyReport("main", "mistral-1", "g1", KeyOutcome.ACCEPTED, was_probe=True)
        await rings[0].sync(KeySync("broker", (probed,)))
        limited = KeyReport("main", "mistral-1", "g1", KeyOutcome.RATE_LIMITED, was_probe=False, retry_after_seconds=600)
        await rings[0].sync(KeySync("broker", (limited,)))
        await rings[1].refresh()
        assert rings[1].records("main")["mistral-1"].state is KeyState.QUARANTINED
