"""Write what a transaction decided."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Table, Text, bindparam, case, cast, delete, func, null, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import UserDefinedType

from mistral_voice.controlplane.ledger.desk import Written
from mistral_voice.controlplane.ledger.records import AuditEntry, Balance, Counted, Entry, Hold, Scope, Session, Window
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.database import Dialect

Values = dict[str, Any]


async def write(connection: AsyncConnection, dialect: Dialect, written: Written) -> None:
    """Write everything. Balances that weren't locked come last and in order, as everywhere, so that nobody waits in a circle."""
    holds = schema.holds
    await _put(connection, dialect, schema.sessions, [_session(session) for session in written.sessions.values()])
    await _put(connection, dialect, schema.usage, [_counted(counted) for counted in written.counted.values()])
    await _put(connection, dialect, holds, [_hold(hold) for hold in written.holds.values()])
    if written.dropped:
        await connection.execute(delete(holds).where(tuple_(holds.c.session, holds.c.epoch).in_(sorted(written.dropped))))
    await _add(connection, dialect, schema.entries, [_entry(entry) for entry in written.entries])
    await add_audit(connection, dialect, written.audit)
    await _put(connection, dialect, schema.balances, [_balance(balance) for balance in _sorted(written.balances.values())])
    await _add_past(connection, dialect, _sorted(written.past))
    await _add_totals(connection, dialect, _sorted(written.totals.values()))


async def add_audit(connection: AsyncConnection, dialect: Dialect, entries: Sequence[AuditEntry]) -> None:
    """Add to the audit; of those that are alike, also with one that is there already, one row is made, which has the last one's message."""
    table = schema.audit
    await _add(connection, dialect, table, [_audit(entry) for entry in entries if entry.alike is None])
    alike: dict[str, AuditEntry] = {}
    for entry in entries:
        if entry.alike is not None:
            before = alike.get(entry.alike)
            alike[entry.alike] = entry if before is None else replace(entry, at=before.at, times=before.times + entry.times)
    if alike:
        statement = _insert(dialect, table)
        changes = {"times": table.c.times + statement.excluded.times, "message": statement.excluded.message}
        # In one order for all, as everywhere.
        values = [_audit(alike[key]) for key in sorted(alike)]
        await connection.execute(statement.on_conflict_do_update(index_elements=[table.c.alike], set_=changes), values)


async def make_balances(connection: AsyncConnection, dialect: Dialect, balances: Sequence[Balance]) -> None:
    """Make rows that are missing, so that they can be locked."""
    if balances:
        table = schema.balances
        values = [_balance(balance) for balance in balances]
        await connection.execute(_insert(dialect, table).on_conflict_do_nothing(index_elements=[table.c.scope]), values)


async def _add(connection: AsyncConnection, dialect: Dialect, table: Table, values: list[Values]) -> None:
    """Insert rows."""
    if values:
        await _insert_all(connection, dialect, _insert(dialect, table), values)


async def _put(connection: AsyncConnection, dialect: Dialect, table: Table, values: list[Values]) -> None:
    """Insert rows, or overwrite those with the same primary key. No two of the rows have the same."""
    if not values:
        return
    statement = _insert(dialect, table)
    keys = set(table.primary_key.columns.keys())
    changes = {name: statement.excluded[name] for name in values[0] if name not in keys}
    statement = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes)
    await _insert_all(connection, dialect, statement, values)


async def _insert_all(connection: AsyncConnection, dialect: Dialect, statement: Any, values: list[Values]) -> None:
    """Carry out an insertion of many rows.

    PostgreSQL gets them as one text of JSON: a statement for each row would cost it and the driver several times as much as the rows do.
    """
    if dialect is Dialect.SQLITE:
        await connection.execute(statement, values)
        return
    table, names = statement.table, list(values[0])
    text = cast(bindparam("rows", type_=Text), postgresql.JSON)
    rows = func.json_populate_recordset(cast(null(), _RowType(table.name)), text).table_valued(*names)
    await connection.execute(statement.from_select(names, select(*rows.c)), {"rows": msgspec.json.encode(values).decode()})


class _RowType(UserDefinedType[Any]):
    """The type of a table's rows, which PostgreSQL names after the table."""

    cache_ok = True

    def __init__(self, table: str) -> None:
        self.table = table

    def get_col_spec(self, **_: Any) -> str:
        return self.table


async def _add_past(connection: AsyncConnection, dialect: Dialect, balances: list[Balance]) -> None:
    if not balances:
        return
    table = schema.past_balances
    statement = _insert(dialect, table)
    changes = {
        "session_ms": table.c.session_ms + statement.excluded.session_ms,
        "micro_units": table.c.micro_units + statement.excluded.micro_units,
    }
    values = [
        {
            "scope": balance.scope.key,
            "period": balance.window.period,
            "currency": balance.window.currency,
            "session_ms": balance.session_ms,
            "micro_units": balance.micro_units,
        }
        for balance in balances
    ]
    await connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes), values)


async def _add_totals(connection: AsyncConnection, dialect: Dialect, balances: list[Balance]) -> None:
    """Add to rows that may be of an earlier window, which then is over: its total is the sum of its namespaces'."""
    if not balances:
        return
    table = schema.balances
    statement = _insert(dialect, table)
    new = statement.excluded
    same = (table.c.period == new.period) & (table.c.currency == new.currency)
    behind = (table.c.currency == new.currency) & (table.c.period > new.period)
    changes = {
        "session_ms": case((behind, table.c.session_ms), (same, table.c.session_ms + new.session_ms), else_=new.session_ms),
        "micro_units": case((behind, table.c.micro_units), (same, table.c.micro_units + new.micro_units), else_=new.micro_units),
        "period": case((behind, table.c.period), else_=new.period),
        "currency": new.currency,
    }
    values = [_balance(balance) for balance in balances]
    await connection.execute(statement.on_conflict_do_update(index_elements=[table.c.scope], set_=changes), values)


def _insert(dialect: Dialect, table: Table) -> Any:
    # The two dialects' statements have the same methods but no common type.
    return sqlite.insert(table) if dialect is Dialect.SQLITE else postgresql.insert(table)


def _sorted(balances: Any) -> list[Balance]:
    return sorted(balances, key=lambda balance: (balance.scope.key, balance.window))


def _balance(balance: Balance) -> Values:
    return {
        "scope": balance.scope.key,
        **_scope(balance.scope),
        **_window(balance.window),
        "session_ms": balance.session_ms,
        "micro_units": balance.micro_units,
    }


def _scope(scope: Scope) -> Values:
    return {"plan": scope.plan, "namespace": scope.namespace, "integration": scope.integration}


def _window(window: Window) -> Values:
    return {"period": window.period, "currency": window.currency}


def _session(session: Session) -> Values:
    tenant, key = session.tenant, session.key
    return {
        "session": session.session,
        "plan": tenant.plan,
        "namespace": tenant.namespace,
        "integration": tenant.integration,
        "integration_uid": session.integration_uid,
        "epoch": session.epoch,
        "broker": session.broker,
        "models": " ".join(session.models),
        "pool": key.pool,
        "secret": key.secret,
        "data_key": key.data_key,
        "region": key.region,
        "started_at": session.started_at,
        "ended_at": session.ended_at,
    }


def _hold(hold: Hold) -> Values:
    tenant = hold.tenant
    return {
        "session": hold.session,
        "epoch": hold.epoch,
        "plan": tenant.plan,
        "namespace": tenant.namespace,
        "integration": tenant.integration,
        "tenant": Scope(tenant.plan, tenant.namespace).key,
        "expires_at": hold.expires_at,
        "acknowledged_at": hold.acknowledged_at,
        "session_ms": hold.session_ms,
        "micro_units": hold.micro_units,
        "superseded_at": hold.superseded_at,
    }


def _counted(counted: Counted) -> Values:
    window = counted.estimated_in
    return {
        "session": counted.session,
        "epoch": counted.epoch,
        "seq": counted.seq,
        "session_ms": counted.session_ms,
        "amounts": msgspec.json.encode([(model, unit, amount) for (model, unit), amount in counted.amounts.items()]).decode(),
        "state": counted.state.value,
        "acknowledged_at": counted.acknowledged_at,
        "estimated_ms": counted.estimated_ms,
        "estimated_micro_units": counted.estimated_micro_units,
        "estimated_period": window.period if window is not None else None,
        "estimated_currency": window.currency if window is not None else None,
    }


def _entry(entry: Entry) -> Values:
    tenant = entry.tenant
    return {
        "at": entry.at,
        "plan": tenant.plan,
        "namespace": tenant.namespace,
        "integration": tenant.integration,
        **_window(entry.window),
        "session": entry.session,
        "epoch": entry.epoch,
        "kind": entry.kind.value,
        "session_ms": entry.session_ms,
        "model": entry.model,
        "unit": entry.unit.value if entry.unit is not None else "",
        "amount": entry.amount,
        "micro_units": entry.micro_units,
    }


def _audit(entry: AuditEntry) -> Values:
    return {
        "at": entry.at,
        "event": entry.event,
        "plan": entry.plan,
        "namespace": entry.namespace,
        "integration": entry.integration,
        "session": entry.session,
        "reason": entry.reason,
        "message": entry.message,
        "alike": entry.alike,
        "times": entry.times,
        "pool": entry.pool,
    }
