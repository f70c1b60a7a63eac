"""Read the ledger's records, within a transaction that goes on to write."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ARRAY, ColumnElement, Label, Row, Text, and_, bindparam, case, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.lease import KeyReference, Unit
from mistral_voice.contract.v1alpha1.plan import PlanSpecification
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.desk import EpochKey
from mistral_voice.controlplane.ledger.records import Balance, Counted, EpochState, Held, Hold, Scope, Session, Tenant, Window
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import Database, Dialect

_SERVERS_NOW: Final[Label[Any]] = literal_column("floor(extract(epoch FROM clock_timestamp()) * 1000)").label("server_now")


async def sessions(connection: AsyncConnection, names: Iterable[str]) -> dict[str, Session]:
    """Return those of the sessions that are known."""
    table = schema.sessions
    rows = await connection.execute(select(table).where(_among(connection, table.c.session, sorted(set(names)))))
    return {row.session: _session(row) for row in rows}


async def locked(database: Database, connection: AsyncConnection, scopes: Sequence[Scope]) -> tuple[dict[Scope, Balance], int]:
    """Return the balances of scopes, locked in the order of their keys, and the time at which the last of them was.

    SQLite's transaction has locked everything already. PostgreSQL's time comes with the rows, which it hands out as it locks them.
    """
    table = schema.balances
    wanted = _among(connection, table.c.scope, [scope.key for scope in scopes])
    chosen = select(table).where(wanted).order_by(table.c.scope).with_for_update()
    is_told = database.clock is None
    rows = (await connection.execute(select(chosen.subquery(), _SERVERS_NOW) if is_told else chosen)).all()
    known = {scope.key: scope for scope in scopes}
    found = {known[row.scope]: balance_of(row, known[row.scope]) for row in rows}
    now = max(int(row.server_now) for row in rows) if is_told and rows else await database.now(connection)
    return found, now


async def balances(connection: AsyncConnection, scopes: Sequence[Scope]) -> dict[Scope, Balance]:
    """Return the balances of scopes, without a lock."""
    table, known = schema.balances, {scope.key: scope for scope in scopes}
    rows = await connection.execute(select(table).where(_among(connection, table.c.scope, sorted(known))))
    return {known[row.scope]: balance_of(row, known[row.scope]) for row in rows}


def balance_of(row: Row[Any], scope: Scope) -> Balance:
    """Return the balance that a row holds."""
    return Balance(scope, Window(row.period, row.currency), row.session_ms, row.micro_units)


async def holds(connection: AsyncConnection, names: Iterable[str]) -> dict[EpochKey, Hold]:
    """Return all holds of sessions."""
    table = schema.holds
    rows = await connection.execute(select(table).where(_among(connection, table.c.session, sorted(set(names)))))
    return {(row.session, row.epoch): _hold(row) for row in rows}


async def counted(connection: AsyncConnection, names: Iterable[str]) -> dict[EpochKey, Counted]:
    """Return what is known of the use of sessions, by epoch."""
    table = schema.usage
    rows = await connection.execute(select(table).where(_among(connection, table.c.session, sorted(set(names)))))
    return {(row.session, row.epoch): _counted(row) for row in rows}


async def held(connection: AsyncConnection, scopes: Sequence[Scope], now: int) -> dict[Scope, Held]:
    """Add up what scopes hold: sessions of leases that run, time and money of all that are not settled."""
    table = schema.holds
    runs = case((and_(table.c.superseded_at.is_(None), table.c.expires_at > now), 1), else_=0)
    figures = (func.sum(runs), func.sum(table.c.session_ms), func.sum(table.c.micro_units))
    tenants = sorted({Scope(scope.plan, scope.namespace).key for scope in scopes if scope.namespace})
    found: dict[Scope, Held] = {}
    if tenants:
        by = (table.c.plan, table.c.namespace, table.c.integration)
        for plan, namespace, integration, *sums in await connection.execute(
            select(*by, *figures).where(_among(connection, table.c.tenant, tenants)).group_by(*by)
        ):
            some = Held(*(int(value) for value in sums))
            found[Scope(plan, namespace, integration)] = some
            found[Scope(plan, namespace)] = found.get(Scope(plan, namespace), Held()).plus(some)
    plans = sorted({scope.plan for scope in scopes if not scope.namespace})
    if plans:
        for plan, *sums in await connection.execute(select(table.c.plan, *figures).where(table.c.plan.in_(plans)).group_by(table.c.plan)):
            found[Scope(plan)] = Held(*(int(value) for value in sums))
    return found


async def overdue(connection: AsyncConnection, now: int, most: int) -> list[Hold]:
    """Return holds that ran out, the oldest first."""
    table = schema.holds
    rows = await connection.execute(select(table).where(table.c.expires_at <= now).order_by(table.c.expires_at).limit(most))
    return [_hold(row) for row in rows]


async def plans(connection: AsyncConnection) -> dict[str, KnownPlan]:
    """Return every plan that was ever seen, as it last stood."""
    rows = await connection.execute(select(schema.plans))
    return {row.name: KnownPlan(PlanSpecification.model_validate_json(row.spec), row.deleted_at is not None) for row in rows}


def _among(connection: AsyncConnection, column: ColumnElement[str], values: list[str]) -> ColumnElement[bool]:
    """Return whether a column has one of the values: for PostgreSQL as one array, so that it knows the statement again by its text."""
    if connection.dialect.name == Dialect.SQLITE:
        return column.in_(values)
    return column == func.any(bindparam(None, values, type_=ARRAY(Text)))


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(row.plan, row.namespace, row.integration)


def _session(row: Row[Any]) -> Session:
    key = KeyReference(row.pool, row.secret, row.data_key, row.region)
    return Session(
        row.session,
        _tenant(row),
        row.integration_uid,
        row.epoch,
        row.broker,
        tuple(row.models.split()),
        key,
        row.started_at,
        row.ended_at,
    )


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        row.session, row.epoch, _tenant(row), row.expires_at, row.acknowledged_at, row.session_ms, row.micro_units, row.superseded_at
    )


def _counted(row: Row[Any]) -> Counted:
    window = None if row.estimated_period is None else Window(row.estimated_period, row.estimated_currency)
    return Counted(
        row.session,
        row.epoch,
        row.seq,
        row.session_ms,
        {(model, unit): amount for model, unit, amount in _decode_amounts(row.amounts)},
        EpochState(row.state),
        row.acknowledged_at,
        row.estimated_ms,
        row.estimated_micro_units,
        window,
    )


_decode_amounts = msgspec.json.Decoder(list[tuple[str, Unit, int]]).decode
