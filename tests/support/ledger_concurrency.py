"""What must be true after many processes asked one database at once."""

from mistral_voice.controlplane.store import schema
from tests.support.ledger import ledger_at
from tests.support.ledger_process import CONCURRENT, NAMESPACES
from tests.support.ledger_replicas import ask_at_once


async def no_limit_is_passed_and_every_unit_counts_once(url: str, processes: int) -> None:
    """Ask from several processes; half of those who get a lease release it, all report their use, twice and out of order."""
    answers = ask_at_once(url, processes, 120)
    granted = [name for answer in answers for name in answer["granted"]]
    async with ledger_at(url) as world:
        by_namespace: dict[str, int] = {}
        for hold in await world.rows(schema.holds):
            by_namespace[hold["namespace"]] = by_namespace.get(hold["namespace"], 0) + 1
        assert by_namespace
        assert max(by_namespace.values()) <= CONCURRENT
        assert len(by_namespace) <= NAMESPACES
        counted = {row["session"]: row for row in await world.rows(schema.usage)}
        assert set(counted) == set(granted)
        # Two micro-units a token.
        told = {name: 3 if int(name.partition("-")[2]) % 2 else 2 for name in granted}
        assert {name: row["session_ms"] for name, row in counted.items()} == {name: 1000 * use for name, use in told.items()}
        assert await world.charged() == (1000 * sum(told.values()), 2 * sum(told.values())) == await world.balanced()
