"""The keys' states in the database, which all replicas share, and a copy at hand to choose from."""

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.lease import KeyOrders, KeyReference, KeySync, Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState, QuarantineReason
from mistral_voice.controlplane.audit_log import tell
from mistral_voice.controlplane.keys.events import events
from mistral_voice.controlplane.keys.states import KeyRecord, chosen, handed_out, reference, reported, settled
from mistral_voice.controlplane.ledger.ledger import LedgerUnavailable
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import Database
from mistral_voice.controlplane.store.writing import add_audit

SYNC_AGAIN_SECONDS: Final = 5
MOST_PROBES: Final = 4

Pools = Mapping[str, KeyPoolSpecification]
_Table = dict[str, dict[str, KeyRecord]]


class KeyRing:
    """Decides on the keys of all pools. `refresh` from time to time: others may have changed what is known."""

    def __init__(self, database: Database, pools: Callable[[], Pools], chance: Callable[[], float] = random.random) -> None:
        self._database = database
        self._pools = pools
        self._chance = chance
        self._known: _Table = {}
        self.sessions: Mapping[tuple[str, str], int] = {}
        """How many sessions hold each key (pool and Secret), as of the last refresh."""

    def records(self, pool: str) -> Mapping[str, KeyRecord]:
        """Return what is known of a pool's keys, by Secret."""
        return self._known.get(pool, {})

    def choose(self, pool: str, pinned: KeyReference | None, now: int) -> KeyReference | Refusal:
        """Return the key for a session, or why there is none."""
        spec = self._pools().get(pool)
        if spec is None:
            return Refusal(RefusalReason.POOL_EXHAUSTED, "The plan's pool of keys doesn't exist.", 30)
        return chosen(pool, spec, self.records(pool), pinned, self._chance, now)

    async def refresh(self) -> None:
        """Bring the states up to what pools and time say. Raises `LedgerUnavailable`."""
        await self._change(lambda records, _: records)

    async def sync(self, sync: KeySync) -> KeyOrders:
        """Take in what a broker saw, and tell it which keys to look at. Raises `LedgerUnavailable`."""
        pools = self._pools()
        orders: list[KeyReference] = []

        def change(records: _Table, now: int) -> _Table:
            for report in sync.reports:
                if report.pool in records and report.pool in pools:
                    records[report.pool] = reported(pools[report.pool], records[report.pool], report, now)
            for name, spec in pools.items():
                keys = {key.secret_ref.name: key for key in spec.keys}
                for secret, record in handed_out(records.get(name, {}), sync.broker, now, MOST_PROBES - len(orders)).items():
                    records[name][secret] = record
                    orders.append(reference(name, spec, keys[secret]))
            return records

        await self._change(change)
        return KeyOrders(tuple(orders), SYNC_AGAIN_SECONDS)

    async def _change(self, change: Callable[[_Table, int], _Table]) -> None:
        try:
            async with self._database.writing() as connection:
                before = await _read(connection)
                sessions = await _sessions(connection)
                pools, now = self._pools(), await self._database.now(connection)
                after = {name: settled(name, spec, before.get(name, {}), _of_pool(sessions, name), now) for name, spec in pools.items()}
                after = change(after, now)
                await _write(connection, before, after)
                happened = tuple(events(pools, before, after, now))
                await add_audit(connection, self._database.dialect, happened)
        except (SQLAlchemyError, OSError) as error:
            raise LedgerUnavailable(str(getattr(error, "orig", None) or error).partition("\n")[0]) from error
        self._known, self.sessions = after, sessions
        tell(happened)


def _of_pool(sessions: Mapping[tuple[str, str], int], pool: str) -> dict[str, int]:
    return {secret: count for (name, secret), count in sessions.items() if name == pool}


async def _read(connection: AsyncConnection) -> _Table:
    table = schema.pool_keys
    rows = await connection.execute(select(table).order_by(table.c.pool, table.c.secret).with_for_update())
    found: _Table = {}
    for row in rows:
        found.setdefault(row.pool, {})[row.secret] = _record(row)
    return found


async def _sessions(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    holds, sessions = schema.holds, schema.sessions
    joined = holds.join(sessions, holds.c.session == sessions.c.session)
    counting = select(sessions.c.pool, sessions.c.secret, func.count()).select_from(joined).where(holds.c.superseded_at.is_(None))
    rows = await connection.execute(counting.group_by(sessions.c.pool, sessions.c.secret))
    return {(pool, secret): int(count) for pool, secret, count in rows}


async def _write(connection: AsyncConnection, before: _Table, after: _Table) -> None:
    table = schema.pool_keys
    for pool in sorted(before.keys() | after.keys()):
        for secret in sorted(before.get(pool, {}).keys() | after.get(pool, {}).keys()):
            was, now = before.get(pool, {}).get(secret), after.get(pool, {}).get(secret)
            where = (table.c.pool == pool, table.c.secret == secret)
            if was == now:
                continue
            if now is None:
                await connection.execute(delete(table).where(*where))
            elif was is None:
                await connection.execute(insert(table), [_values(now)])
            else:
                await connection.execute(update(table).where(*where), _values(now))


def _values(record: KeyRecord) -> dict[str, Any]:
    return {**asdict(record), "state": record.state.value, "reason": record.reason.value if record.reason is not None else None}


def _record(row: Row[Any]) -> KeyRecord:
    values = {name: getattr(row, name) for name in row._fields}
    values["state"] = KeyState(row.state)
    values["reason"] = QuarantineReason(row.reason) if row.reason is not None else None
    return KeyRecord(**values)
