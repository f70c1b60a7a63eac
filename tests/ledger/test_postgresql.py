"""The ledger on a real PostgreSQL."""

import asyncio
from collections.abc import Callable

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from mistral_voice.contract.lease import LeaseGrant
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import open_database
from mistral_voice.controlplane.store.retention import Retention, remove_old
from tests.support.ledger import a_report, a_request, ledger_at
from tests.support.ledger_concurrency import no_limit_is_passed_and_every_unit_counts_once
from tests.support.ledger_killed import what_was_committed_is_whole
from tests.support.ledger_machine import LedgerMachine
from tests.support.ledger_overdraft import OverdraftMachine


async def test_replicas_that_start_at_once_migrate_one_after_the_other(fresh: Callable[[], str]) -> None:
    url = fresh()

    async def start() -> None:
        async with open_database(url):
            pass

    await asyncio.gather(*(start() for _ in range(4)))


async def test_a_lease_is_granted_renewed_and_released(fresh: Callable[[], str]) -> None:
    async with ledger_at(fresh(), total={"concurrentSessions": 1}) as world:
        assert isinstance(await world.ledger.admit(a_request()), LeaseGrant)
        assert not isinstance(await world.ledger.admit(a_request("s2", namespace="bank")), LeaseGrant)
        assert isinstance(await world.ledger.renew(a_report(seconds=1, tokens=10)), LeaseGrant)
        await world.ledger.release(a_report(seq=2, seconds=2, tokens=20))
        assert await world.used() == (2000, 40) == await world.used(namespace="")


async def test_what_is_old_goes_a_flood_is_one_row_and_balances_stay(fresh: Callable[[], str]) -> None:
    async with ledger_at(fresh(), limits={"concurrentSessions": 1}) as world:
        await world.ledger.admit(a_request())
        refused = [world.ledger.admit(a_request(f"refused-{number}")) for number in range(50)]
        assert not any(isinstance(answer, LeaseGrant) for answer in await asyncio.gather(*refused))
        await world.ledger.release(a_report(seconds=3, tokens=10))
        assert [row["times"] for row in await world.rows(schema.audit) if row["event"] == "Refused"] == [50]
        world.now += 500 * 86_400
        removed = await asyncio.gather(*(remove_old(world.database, Retention()) for _ in range(3)))
        assert sum(one.sessions for one in removed) == 1
        assert await world.charged() == (0, 0)
        assert await world.balanced() == (3000, 20)


async def test_processes_on_one_database_pass_no_limit_and_count_every_unit_once(fresh: Callable[[], str]) -> None:
    await no_limit_is_passed_and_every_unit_counts_once(fresh(), 3)


async def test_a_replica_killed_in_the_midst_of_its_transactions_loses_and_doubles_nothing(fresh: Callable[[], str]) -> None:
    url = fresh()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()"

    def is_at_rest() -> bool:
        with psycopg.connect(url) as connection:
            return connection.execute(others).fetchone() == (0,)

    await what_was_committed_is_whole(url, is_at_rest)


def test_the_ledger_counts_each_unit_once_and_frees_each_hold(fresh: Callable[[], str]) -> None:
    class OnPostgresql(LedgerMachine):
        @staticmethod
        def url() -> str:
            return fresh()

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        OnPostgresql, settings=settings(max_examples=5, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    )


def test_the_overdraft_of_money_and_time_stays_within_its_bound(fresh: Callable[[], str]) -> None:
    class OnPostgresql(OverdraftMachine):
        @staticmethod
        def url() -> str:
            return fresh()

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        OnPostgresql, settings=settings(max_examples=3, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    )
