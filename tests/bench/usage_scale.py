"""Usage at the size that the goal names: 10,000 tenants, 1,000,000 ledger entries; how long the API takes to answer (p95).

Each way of asking is asked in turn, over a connection that stays, of a random tenant. `usage-scale-status` is a page of integrations, of
which the operator makes their status. The export is told beside them: it adds up entries. BENCH_DATABASE_URL names a PostgreSQL database
that is empty; without it SQLite is measured.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from sqlalchemy import Table, insert

from mistral_voice.controlplane.ledger.records import Scope
from mistral_voice.controlplane.store import schema
from tests.bench.line import Line, at_most, progress, runs, size
from tests.support.ledger import BEGIN, CHAT, World, ledger_at
from tests.support.peoples_api import peoples_api

ENTRIES = 1_000_000
GOAL_MS = 50.0
ENTRIES_OF_SESSION = 10
LIVE = 10_000
"""Sessions that run, one of each tenant."""
_CHUNK = 20_000


def _name(number: int) -> str:
    return f"team-{number:05}"


async def _fill(world: World, tenants: int, entries: int) -> None:
    now = int(BEGIN * 1000)

    async def rows(table: Table, count: int, row: Callable[[int], dict[str, object]]) -> None:
        for start in range(0, count, _CHUNK):
            values = [row(number) for number in range(start, min(start + _CHUNK, count))]
            async with world.database.writing() as connection:
                await connection.execute(insert(table), values)

    def tenant(number: int) -> dict[str, object]:
        return {"plan": "standard", "namespace": _name(number % tenants), "integration": "assistant"}

    def at(number: int) -> int:
        return now - 20 * 86_400_000 + number * (20 * 86_400_000 // entries)

    def entry(number: int) -> dict[str, object]:
        session = number // ENTRIES_OF_SESSION
        common = {"at": at(number), **tenant(session), "period": "2026-11", "currency": "EUR", "session": f"s{session}", "epoch": 1}
        used = {"kind": "Usage", "session_ms": 0, "model": CHAT, "unit": "outputTokens", "amount": 40, "micro_units": 80}
        return common | used

    def session(number: int) -> dict[str, object]:
        key = {"pool": "main", "secret": "mistral-1", "data_key": "apiKey", "region": "Global"}
        told = {"session": f"s{number}", "integration_uid": "uid", "epoch": 1, "broker": "broker-1", "models": CHAT}
        return told | tenant(number) | key | {"started_at": at(number * ENTRIES_OF_SESSION), "ended_at": None}

    def hold(number: int) -> dict[str, object]:
        whose = tenant(number) | {"tenant": Scope("standard", _name(number % tenants)).key}
        times = {"expires_at": now + 30_000, "acknowledged_at": now, "session_ms": 30_000, "micro_units": 900, "superseded_at": None}
        return {"session": f"s{number}", "epoch": 1} | whose | times

    def audited(number: int) -> dict[str, object]:
        return {"at": at(number), "event": "SessionAdmitted", **tenant(number), "session": f"s{number}", "reason": "", "message": ""}

    def balance(namespace: str, integration: str) -> dict[str, object]:
        scope = {"scope": Scope("standard", namespace, integration).key, "plan": "standard", "namespace": namespace}
        return {**scope, "integration": integration, "period": "2026-11", "currency": "EUR", "session_ms": 600_000, "micro_units": 8_000}

    await rows(schema.entries, entries, entry)
    await rows(schema.sessions, entries // ENTRIES_OF_SESSION, session)
    await rows(schema.audit, entries // ENTRIES_OF_SESSION, audited)
    await rows(schema.holds, min(LIVE, entries // ENTRIES_OF_SESSION), hold)
    await rows(schema.balances, tenants, lambda number: balance(_name(number), ""))
    await rows(schema.balances, tenants, lambda number: balance(_name(number), "assistant"))
    await rows(schema.balances, 1, lambda _: balance("", ""))


def _ways(tenants: int) -> dict[str, Callable[[], str]]:
    def some() -> str:
        return _name(random.randrange(tenants))

    plan = "/plans/standard"
    return {
        "plans": lambda: "/plans",
        "plan": lambda: f"{plan}/usage",
        "tenants": lambda: f"{plan}/tenants?cursor={some()}",
        "tenants-by-spend": lambda: f"{plan}/tenants?sort=microUnits&limit=25",
        "tenants-by-sessions": lambda: f"{plan}/tenants?sort=sessions&limit=25",
        "tenants-containing": lambda: f"{plan}/tenants?containing={random.randrange(1_000)}&limit=25",
        "integrations": lambda: f"{plan}/integrations?cursor={some()}/assistant&limit=100",
        "sessions": lambda: f"{plan}/sessions",
        "audit": lambda: f"{plan}/audit?namespace={some()}",
        "entries": lambda: f"{plan}/entries?cursor={random.randrange(1_000, ENTRIES)}",
        "tenant": lambda: f"/namespaces/{some()}/usage",
        "tenant-sessions": lambda: f"/namespaces/{some()}/sessions",
        "tenant-audit": lambda: f"/namespaces/{some()}/audit",
        "tenant-entries": lambda: f"/namespaces/{some()}/entries",
        "tenant-costs": lambda: f"/namespaces/{some()}/costs?from=2026-11-01&to=2026-12-01",
    }


async def _measure(directory: Path, tenants: int, asks: int) -> None:
    url = os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{directory / 'ledger.db'}")
    async with ledger_at(url, limits={"concurrentSessions": 10, "sessionSecondsPerPeriod": 3600, "spendPerPeriod": "10"}) as world:
        began = time.monotonic()
        await _fill(world, tenants, min(ENTRIES, tenants * 100))
        progress(f"usage-scale: filled in {time.monotonic() - began:.0f} s")
        async with peoples_api(world) as served, aiohttp.ClientSession(headers={"Authorization": "Bearer platform"}) as http:
            served.table.everything = "platform"

            async def ask(path: str) -> float:
                start = time.perf_counter()
                async with http.get(f"{served.base_url}/api/v1{path}") as answer:
                    body = await answer.read()
                    assert answer.ok, body
                return (time.perf_counter() - start) * 1000

            slowest = 0.0
            for name, path in _ways(tenants).items():
                took = sorted([await ask(path()) for _ in range(asks)])
                p95 = took[int(len(took) * 0.95)]
                slowest = max(slowest, p95)
                progress(f"usage-scale: {name}: median {statistics.median(took):.1f} ms, p95 {p95:.1f} ms")
                if name == "integrations":
                    at_most("usage-scale-status", p95, "ms", GOAL_MS, runs=asks).print()
            at_most("usage-scale", slowest, "ms", GOAL_MS, runs=asks).print()
            export = await ask("/plans/standard/costs?from=2026-11-01&to=2026-12-01&namespace=" + _name(0))
            Line("usage-scale-export", export, "ms").print()


def main() -> int:
    """Measure and print. Returns 0."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_measure(Path(directory), size(10_000), runs(1) * 200))
    return 0
