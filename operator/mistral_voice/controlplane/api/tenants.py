"""The namespaces of a plan, page by page, in the order that is asked for."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, or_, select
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
    table = schema.balances
    source, figure = _figure(wanted.sort, name, window, now)
    where = [table.c.plan == name, table.c.namespace != "", table.c.integration == ""]
    if wanted.containing:
        where.append(table.c.namespace.contains(wanted.containing, autoescape=True))
    if wanted.after:
        where.append(_following(figure, wanted.after))
    order = [table.c.namespace] if figure is None else [figure.desc(), table.c.namespace]
    columns = [table] if figure is None else [table, figure.label("figure")]
    rows = (await connection.execute(select(*columns).select_from(source).where(*where).order_by(*order).limit(wanted.limit + 1))).all()
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
    return Page(items=tuple(items), next=last.namespace if figure is None else f"{int(last.figure)}/{last.namespace}")


def _figure(sort: str, plan: str, window: Window, now: int) -> tuple[FromClause, ColumnElement[Any] | None]:
    """Return what is read from, and the figure that it is sorted by."""
    table = schema.balances
    if sort == "name":
        return table, None
    if sort == "sessions":
        holds = schema.holds
        runs = and_(holds.c.plan == plan, holds.c.superseded_at.is_(None), holds.c.expires_at > now)
        counts = select(holds.c.tenant, func.count().label("sessions")).where(runs).group_by(holds.c.tenant).subquery()
        return table.outerjoin(counts, counts.c.tenant == table.c.scope), func.coalesce(counts.c.sessions, 0)
    # Use of a period that is over counts no more, although nobody has put it aside yet.
    length = func.length(table.c.period) == len(window.period)
    counts_yet = and_(table.c.currency == window.currency, length, table.c.period >= window.period)
    return table, case((counts_yet, table.c.session_ms if sort == "sessionMs" else table.c.micro_units), else_=0)


def _following(figure: ColumnElement[Any] | None, after: str) -> ColumnElement[bool]:
    table = schema.balances
    value, between, name = after.rpartition("/")
    if bool(between) is (figure is None):
        raise BadRequest("The parameter cursor is of another order: begin anew, without it, when sort changes.")
    if figure is None:
        return table.c.namespace > name
    return or_(figure < int(value), and_(figure == int(value), table.c.namespace > name))
