"""The namespaces of a plan, page by page, in the order that is asked for."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.controlplane.api.answers import Page, TenantUsage
from mistral_voice.controlplane.api.parameters import BadRequest
from mistral_voice.controlplane.api.standings import of_present, standing
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.records import Held, Scope, Window
from mistral_voice.controlplane.ledger.window import window_of
from mistral_voice.controlplane.store import reading, schema


@dataclass(frozen=True, slots=True)
class Tenants:
    """Which namespaces are asked for. `sort` is `name` or a figure; `after` is a name, or a figure and a name (`2000/shop`)."""

    containing: str
    sort: str
    after: str
    limit: int


async def tenants(connection: AsyncConnection, name: str, plan: KnownPlan, wanted: Tenants, now: int) -> Page[TenantUsage]:
    """Return some of a plan's namespaces. Raises BadRequest for a cursor of another order."""
    window = window_of(plan.spec, now)
    if wanted.sort == "sessions":
        rows = await _by_sessions(connection, name, wanted, now)
    else:
        rows = await _by_balance(connection, name, wanted, window)
    some = rows[: wanted.limit]
    held = await reading.held(connection, [Scope(name, row.namespace) for row in some], now) if some else {}
    items = []
    for row in some:
        scope = Scope(name, row.namespace)
        stands = standing(of_present(row, scope, window), held.get(scope, Held()), plan.spec.limits)
        items.append(TenantUsage(namespace=row.namespace, standing=stands))
    if len(rows) <= wanted.limit:
        return Page(items=tuple(items))
    last = some[-1]
    return Page(items=tuple(items), next=last.namespace if wanted.sort == "name" else f"{int(last.figure)}/{last.namespace}")


async def _by_balance(connection: AsyncConnection, plan: str, wanted: Tenants, window: Window) -> list[Row[Any]]:
    """Return the page's rows and the one after them, by name or by a figure of the balances."""
    table = schema.balances
    where, last = _those_of(table, plan, wanted), _last(wanted)
    if wanted.sort == "name":
        following = [table.c.namespace > last.namespace] if last is not None else []
        query: Select[Any] = select(table).where(*where, *following).order_by(table.c.namespace)
        return list((await connection.execute(query.limit(wanted.limit + 1))).all())
    # Use of a period that is over counts no more, although nobody has put it aside yet.
    length = func.length(table.c.period) == len(window.period)
    counts_yet = and_(table.c.currency == window.currency, length, table.c.period >= window.period)
    figure = case((counts_yet, table.c.session_ms if wanted.sort == "sessionMs" else table.c.micro_units), else_=0)
    following = [_behind(figure, table, last)] if last is not None else []
    query = select(table, figure.label("figure")).where(*where, *following).order_by(figure.desc(), table.c.namespace)
    return list((await connection.execute(query.limit(wanted.limit + 1))).all())


async def _by_sessions(connection: AsyncConnection, plan: str, wanted: Tenants, now: int) -> list[Row[Any]]:
    """Return the page's rows and the one after them, the most sessions first.

    Those that have some are found by their holds alone, so that a page of a plan with many tenants isn't the sorting of them all; only
    behind the last of these come the others, by their names.
    """
    table, holds = schema.balances, schema.holds
    last, most = _last(wanted), wanted.limit + 1
    runs = and_(holds.c.superseded_at.is_(None), holds.c.expires_at > now)
    rows: list[Row[Any]] = []
    if last is None or last.figure:
        count = func.count()
        live = select(holds.c.namespace, count.label("figure")).where(runs, *_those_of(holds, plan, wanted)).group_by(holds.c.namespace)
        live = live if last is None else live.having(_behind(count, holds, last))
        first = live.order_by(count.desc(), holds.c.namespace).limit(most).subquery()
        joined = table.join(first, and_(table.c.plan == plan, table.c.namespace == first.c.namespace, table.c.integration == ""))
        query: Select[Any] = select(table, first.c.figure).select_from(joined).order_by(first.c.figure.desc(), table.c.namespace)
        rows = list((await connection.execute(query)).all())
    if len(rows) < most:
        idle = ~select(holds.c.session).where(holds.c.tenant == table.c.scope, runs).exists()
        following = [table.c.namespace > last.namespace] if last is not None and not last.figure else []
        query = select(table, literal(0).label("figure")).where(*_those_of(table, plan, wanted), idle, *following)
        rows += (await connection.execute(query.order_by(table.c.namespace).limit(most - len(rows)))).all()
    return rows


def _those_of(table: Table, plan: str, wanted: Tenants) -> list[ColumnElement[bool]]:
    """Return the conditions on the rows of a plan's namespaces."""
    where = [table.c.plan == plan]
    if table is schema.balances:
        where += [table.c.namespace != "", table.c.integration == ""]
    if wanted.containing:
        where.append(table.c.namespace.contains(wanted.containing, autoescape=True))
    return where


@dataclass(frozen=True, slots=True)
class _Last:
    """The last namespace of the page before, and its figure (0 where names are sorted by)."""

    figure: int
    namespace: str


def _last(wanted: Tenants) -> _Last | None:
    if not wanted.after:
        return None
    value, between, name = wanted.after.rpartition("/")
    if bool(between) is (wanted.sort == "name"):
        raise BadRequest("The parameter cursor is of another order: begin anew, without it, when sort changes.")
    return _Last(int(value) if between else 0, name)


def _behind(figure: ColumnElement[Any], table: Table, last: _Last) -> ColumnElement[bool]:
    return or_(figure < last.figure, and_(figure == last.figure, table.c.namespace > last.namespace))
