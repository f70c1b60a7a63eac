"""The database's server killed while replicas work, and started again."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from mistral_voice.controlplane.store import schema
from tests.support.ledger import ledger_at
from tests.support.ledger_replicas import ask_at_once
from tests.support.postgresql import Server, postgresql_server
from tests.support.waiting import eventually

REPLICAS, SESSIONS = 2, 500


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that nobody else's test needs."""
    with postgresql_server() as server:
        yield server


def granted_so_far(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM usage").fetchone()
        return int(row[0]) if row is not None else 0


async def test_sessions_recover_from_a_killed_server_and_nothing_is_lost_or_counted_twice(own_server: Server) -> None:
    url = f"{own_server.url}/postgres"
    async with ledger_at(url):
        pass
    asking = asyncio.create_task(asyncio.to_thread(ask_at_once, url, REPLICAS, SESSIONS, "enduring"))
    for reached in (100, 400):
        await eventually(lambda reached=reached: granted_so_far(url) >= reached, "leases", timeout_seconds=120)  # type: ignore[misc]
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
    answers = await asking
    granted = [name for answer in answers for name in answer["granted"]]
    assert len(granted) == len(set(granted)) == REPLICAS * SESSIONS
    async with ledger_at(url) as world:
        told = {name: 3 if int(name.partition("-")[2]) % 2 else 2 for name in granted}
        counted = {row["session"]: row for row in await world.rows(schema.usage)}
        assert {name: row["session_ms"] for name, row in counted.items()} == {name: 1000 * use for name, use in told.items()}
        # Two micro-units a token.
        assert await world.charged() == (1000 * sum(told.values()), 2 * sum(told.values())) == await world.balanced()
        assert {row["session"] for row in await world.rows(schema.holds)} == {name for name, use in told.items() if use == 2}
        admitted = [row["session"] for row in await world.rows(schema.audit) if row["event"] == "SessionAdmitted"]
        assert sorted(admitted) == sorted(granted)
