"""A ledger on a real database, and what it is asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from mistral_voice.contract.lease import Amount, KeyReference, LeaseReport, LeaseRequest, Refusal, Unit, Usage
from mistral_voice.contract.v1alpha1.plan import PlanSpecification
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.ledger import Ledger, LedgerLimits
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import Database, open_database

CHAT, HEARING, SPEECH = "mistral-medium-latest", "voxtral-mini-transcribe-realtime-latest", "voxtral-mini-tts-latest"
MODELS = (CHAT, HEARING, SPEECH)
KEY = KeyReference("main", "mistral-1", "apiKey", "Global")
BEGIN = 1_795_000_000.0
"""A moment in November 2026."""
PRICES = [
    {"from": "2026-01-01", "model": CHAT, "unit": "inputTokens", "price": "0.40"},
    {"from": "2026-01-01", "model": CHAT, "unit": "outputTokens", "price": "2.00"},
    {"from": "2026-01-01", "model": HEARING, "unit": "audioMs", "price": "0.006", "quantity": 60_000},
    {"from": "2026-01-01", "model": SPEECH, "unit": "characters", "price": "16.00"},
]


def a_plan(**changes: Any) -> PlanSpecification:
    """Return a plan of ten sessions at a time for each namespace; `changes` are fields of the spec as Kubernetes has them."""
    spec: dict[str, Any] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
        "poolRef": {"name": "main"},
        "models": {"chat": [CHAT]},
        "limits": {"concurrentSessions": 10},
        "priceBook": {"currency": "EUR", "prices": PRICES},
        "quantumSeconds": 30,
        "offlineGraceSeconds": 60,
    }
    return PlanSpecification.model_validate({**spec, **changes})


def a_request(
    session: str = "s1", epoch: int = 1, *, namespace: str = "shop", integration: str = "assistant", **changes: Any
) -> LeaseRequest:
    """Return a broker's request for a lease."""
    fields: dict[str, Any] = {"broker": "broker-1", "integration_uid": "uid-1", "plan": "standard", "models": MODELS, **changes}
    return LeaseRequest(session, epoch, namespace=namespace, integration=integration, **fields)


def a_report(
    session: str = "s1", epoch: int = 1, seq: int = 1, *, seconds: float = 0, tokens: int = 0, amounts: tuple[Amount, ...] = ()
) -> LeaseReport:
    """Return a broker's report: so many seconds, so many output tokens."""
    spoken = (Amount(CHAT, Unit.OUTPUT_TOKENS, tokens),) if tokens else ()
    return LeaseReport(session, epoch, seq, Usage(int(seconds * 1000), (*spoken, *amounts)))


@dataclass
class World:
    """A ledger with a clock that a test moves, and plans that it changes."""

    database: Database
    plans: dict[str, KnownPlan]
    now: float = BEGIN
    key: KeyReference | Refusal = KEY
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.database = replace(self.database, clock=lambda: self.now)
        self.ledger = self.replica()

    def replica(self, limits: LedgerLimits | None = None) -> Ledger:
        """Return a ledger on the same database."""
        return Ledger(self.database, lambda: self.plans, lambda *_: self.key, limits)

    def set_plan(self, name: str = "standard", *, deleted: bool = False, **changes: Any) -> None:
        """Change a plan."""
        self.plans[name] = KnownPlan(a_plan(**changes), deleted)

    async def used(self, namespace: str = "shop", integration: str = "", plan: str = "standard") -> tuple[int, int]:
        """Return what a scope's balance says: milliseconds and micro-units."""
        table = schema.balances
        wanted = (table.c.plan == plan, table.c.namespace == namespace, table.c.integration == integration)
        async with self.database.reading() as connection:
            row = (await connection.execute(select(table.c.session_ms, table.c.micro_units).where(*wanted))).one_or_none()
        return (0, 0) if row is None else (row.session_ms, row.micro_units)

    async def charged(self) -> tuple[int, int]:
        """Return the sum of the ledger's entries."""
        return await self._sums(schema.entries)

    async def balanced(self) -> tuple[int, int]:
        """Return the sum of all namespaces' balances, present and past."""
        now, past = schema.balances, schema.past_balances
        present = await self._sums(now, now.c.namespace != "", now.c.integration == "")
        earlier = await self._sums(past, past.c.scope.like("%/~"), past.c.scope.not_like("%/~/~"))
        return present[0] + earlier[0], present[1] + earlier[1]

    async def held(self) -> int:
        """Return how many holds there are."""
        async with self.database.reading() as connection:
            return int((await connection.execute(select(func.count()).select_from(schema.holds))).scalar_one())

    async def rows(self, table: Any) -> list[Mapping[str, Any]]:
        """Return all rows of a table."""
        async with self.database.reading() as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]

    async def _sums(self, table: Any, *where: Any) -> tuple[int, int]:
        sums = select(func.coalesce(func.sum(table.c.session_ms), 0), func.coalesce(func.sum(table.c.micro_units), 0)).where(*where)
        async with self.database.reading() as connection:
            row = (await connection.execute(sums)).one()
        return int(row[0]), int(row[1])


@asynccontextmanager
async def ledger_at(url: str, **plan: Any) -> AsyncIterator[World]:
    """Open a ledger that carries out what it is asked."""
    async with open_database(url) as database:
        world = World(database, {"standard": KnownPlan(a_plan(**plan))})
        task = asyncio.create_task(world.ledger.run())
        try:
            yield world
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def sqlite_url(directory: Path) -> str:
    """Return the URL of a database in a directory."""
    return f"sqlite:///{directory / 'ledger.db'}"
