"""How long what is over is kept. What balances say is never touched: sums of periods stay when their entries go."""

import logging
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, delete, exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.controlplane.ledger.ledger import LedgerUnavailable
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import Database

DAY_MS: Final = 86_400_000
BATCH: Final = 1_000
"""How many rows of a table one transaction removes: it delays leases by a few milliseconds at most."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """Days that things are kept: what sessions used after their end, the ledger's entries, and the audit's."""

    session_days: int = 30
    entry_days: int = 400
    audit_days: int = 90


@dataclass(frozen=True)
class Removed:
    """How many rows were removed."""

    sessions: int = 0
    entries: int = 0
    audit: int = 0

    @property
    def full(self) -> bool:
        """Return whether there may be more."""
        return max(self.sessions, self.entries, self.audit) >= BATCH


async def remove_old(database: Database, keep: Retention) -> Removed:
    """Remove at most `BATCH` rows of each kind that are old enough. Raises `LedgerUnavailable`, and then it can be asked again."""
    try:
        async with database.writing() as connection:
            now = await database.now(connection)
            sessions = await _remove_sessions(connection, now - keep.session_days * DAY_MS)
        async with database.writing() as connection:
            entries = await _remove(connection, schema.entries, now - keep.entry_days * DAY_MS)
        async with database.writing() as connection:
            audit = await _remove(connection, schema.audit, now - keep.audit_days * DAY_MS)
    except (SQLAlchemyError, OSError) as error:
        raise LedgerUnavailable(str(getattr(error, "orig", None) or error).partition("\n")[0]) from error
    removed = Removed(sessions, entries, audit)
    if removed != Removed():
        _log.info("%d old sessions, %d entries and %d rows of the audit were removed.", sessions, entries, audit)
    return removed


async def _remove_sessions(connection: AsyncConnection, before: int) -> int:
    """Remove sessions that ended, with what they used. One that holds something yet isn't settled, and stays."""
    sessions, usage, holds = schema.sessions, schema.usage, schema.holds
    settled = ~exists().where(holds.c.session == sessions.c.session)
    chosen = select(sessions.c.session).where(sessions.c.ended_at < before, settled).order_by(sessions.c.ended_at).limit(BATCH)
    # Another replica removes others; one that a report has just brought back to life is locked, and stays.
    names = list((await connection.execute(chosen.with_for_update(skip_locked=True, of=sessions))).scalars())
    if names:
        await connection.execute(delete(usage).where(usage.c.session.in_(names)))
        await connection.execute(delete(sessions).where(sessions.c.session.in_(names)))
    return len(names)


async def _remove(connection: AsyncConnection, table: Table, before: int) -> int:
    chosen: Any = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(BATCH).with_for_update(skip_locked=True)
    ids = list((await connection.execute(chosen)).scalars())
    if ids:
        await connection.execute(delete(table).where(table.c.id.in_(ids)))
    return len(ids)
