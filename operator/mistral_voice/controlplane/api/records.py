"""Sessions, audit and ledger, page by page: each page is one range of an index."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.lease import Unit
from mistral_voice.controlplane.api.answers import AuditItem, Lease, LedgerItem, Page
from mistral_voice.controlplane.ledger.records import EntryKind
from mistral_voice.controlplane.ledger.window import moment
from mistral_voice.controlplane.store import schema


@dataclass(frozen=True, slots=True)
class About:
    """What is asked about: a plan, a namespace, or both, and perhaps one integration's name, or a pool; "" leaves it open."""

    plan: str = ""
    namespace: str = ""
    integration: str = ""
    pool: str = ""

    def of(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the conditions on a table's rows."""
        asked = (("plan", self.plan), ("namespace", self.namespace), ("integration", self.integration), ("pool", self.pool))
        return [table.c[name] == value for name, value in asked if value]


async def leases(connection: AsyncConnection, about: About, after: str, limit: int, now: int) -> Page[Lease]:
    """Return leases in the order of their sessions. `after` is `session/epoch`."""
    holds, sessions = schema.holds, schema.sessions
    joined = holds.join(sessions, holds.c.session == sessions.c.session)
    wanted = about.of(holds)
    if after:
        session, _, epoch = after.partition("/")
        wanted.append(tuple_(holds.c.session, holds.c.epoch) > tuple_(session, int(epoch)))
    query = select(holds, sessions.c.models, sessions.c.started_at).select_from(joined).where(*wanted)
    rows = (await connection.execute(query.order_by(holds.c.session, holds.c.epoch).limit(limit + 1))).all()
    some = rows[:limit]
    following = f"{some[-1].session}/{some[-1].epoch}" if len(rows) > limit else None
    return Page(items=tuple(_lease(row, now) for row in some), next=following)


async def audit(connection: AsyncConnection, about: About, event: str, before: str, limit: int) -> Page[AuditItem]:
    """Return audit entries, the latest first."""
    table = schema.audit
    events = [table.c.event == event] if event else []
    rows = await _latest(connection, table, [*about.of(table), *events], before, limit)
    return Page(items=tuple(_audit(row) for row in rows[:limit]), next=_next(rows, limit))


async def entries(connection: AsyncConnection, about: About, kind: str, before: str, limit: int) -> Page[LedgerItem]:
    """Return entries of the ledger, the latest first."""
    table = schema.entries
    kinds = [table.c.kind == kind] if kind else []
    rows = await _latest(connection, table, [*about.of(table), *kinds], before, limit)
    return Page(items=tuple(_entry(row) for row in rows[:limit]), next=_next(rows, limit))


async def _latest(connection: AsyncConnection, table: Table, wanted: list[ColumnElement[bool]], before: str, limit: int) -> list[Row[Any]]:
    if before:
        wanted.append(table.c.id < int(before))
    return list((await connection.execute(select(table).where(*wanted).order_by(table.c.id.desc()).limit(limit + 1))).all())


def _next(rows: list[Row[Any]], limit: int) -> str | None:
    return str(rows[limit - 1].id) if len(rows) > limit else None


def _lease(row: Row[Any], now: int) -> Lease:
    return Lease(
        session=row.session,
        epoch=row.epoch,
        plan=row.plan,
        namespace=row.namespace,
        integration=row.integration,
        models=tuple(row.models.split()),
        started_at=moment(row.started_at),
        expires_at=moment(row.expires_at),
        running=row.superseded_at is None and row.expires_at > now,
        held_session_ms=row.session_ms,
        held_micro_units=row.micro_units,
    )


def _audit(row: Row[Any]) -> AuditItem:
    return AuditItem(
        id=row.id,
        at=moment(row.at),
        event=row.event,
        plan=row.plan,
        namespace=row.namespace,
        integration=row.integration,
        session=row.session,
        reason=row.reason,
        message=row.message,
        times=row.times,
        pool=row.pool,
    )


def _entry(row: Row[Any]) -> LedgerItem:
    return LedgerItem(
        id=row.id,
        at=moment(row.at),
        plan=row.plan,
        namespace=row.namespace,
        integration=row.integration,
        period=row.period,
        currency=row.currency,
        session=row.session,
        epoch=row.epoch,
        kind=EntryKind(row.kind),
        session_ms=row.session_ms,
        micro_units=row.micro_units,
        model=row.model or None,
        unit=Unit(row.unit) if row.unit else None,
        amount=row.amount,
    )
