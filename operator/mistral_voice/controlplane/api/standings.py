"""How much was used, is held and is left: read from balances and holds, never by adding up the ledger."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Label, Row, Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.v1alpha1.plan import Limits, PlanSpecification
from mistral_voice.controlplane.api.answers import (
    Amounts,
    Bounds,
    Holding,
    IntegrationUsage,
    NamespaceUsage,
    Page,
    PeriodUse,
    PlanSummary,
    PlanUsage,
    Standing,
    TenantPlan,
)
from mistral_voice.controlplane.api.exhaustion import exhausted, least_of
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.limits import Level
from mistral_voice.controlplane.ledger.records import Balance, Held, Scope, Tenant, Window
from mistral_voice.controlplane.ledger.window import present, window_of
from mistral_voice.controlplane.store import reading, schema

MOST_INTEGRATIONS = 500
"""So many integrations of a namespace are listed with it."""
MOST_PERIODS = 31
"""So many periods are told with a namespace's use of a plan."""


def summary(name: str, plan: KnownPlan, now: int) -> PlanSummary:
    """Return what a plan is."""
    return PlanSummary(**_summary(name, plan, now))


async def plan_usage(connection: AsyncConnection, name: str, plan: KnownPlan, now: int) -> PlanUsage:
    """Return the use of a plan by all its namespaces."""
    scope = Scope(name)
    found = (await connection.execute(select(schema.balances).where(schema.balances.c.scope == scope.key))).one_or_none()
    held = await reading.held(connection, [scope], now)
    balance, _ = _balances(found, scope, window_of(plan.spec, now))
    table = schema.balances
    spaces = select(func.count()).select_from(table).where(table.c.plan == name, table.c.namespace != "", table.c.integration == "")
    return PlanUsage(
        **_summary(name, plan, now),
        total=standing(balance, held.get(scope, Held()), plan.spec.total),
        tenants=int((await connection.execute(spaces)).scalar_one()),
        namespace_limits=_bounds(plan.spec.limits),
        integration_limits=_bounds(plan.spec.per_integration),
    )


async def integrations(connection: AsyncConnection, name: str, plan: KnownPlan, after: str, limit: int, now: int) -> Page[IntegrationUsage]:
    """Return a plan's integrations in the order of their namespaces and names. `after` is `namespace/name`."""
    table = schema.balances
    wanted = [table.c.plan == name, table.c.integration != ""]
    if after:
        wanted.append(tuple_(table.c.namespace, table.c.integration) > tuple_(*after.split("/", 1)))
    columns = (table, _begun(window_of(plan.spec, now)))
    query: Select[Any] = select(*columns).where(*wanted).order_by(table.c.namespace, table.c.integration).limit(limit + 1)
    rows = (await connection.execute(query)).all()
    items = await _integrations(connection, name, plan.spec, rows[:limit], now)
    last = items[-1] if len(rows) > limit else None
    return Page(items=tuple(items), next=f"{last.namespace}/{last.integration}" if last is not None else None)


async def namespace_usage(connection: AsyncConnection, namespace: str, plans: Iterable[tuple[str, KnownPlan]], now: int) -> NamespaceUsage:
    """Return what a namespace uses of each plan that it has used in a period that goes on or is past."""
    known = dict(plans)
    table = schema.balances
    scopes = {Scope(name, namespace).key: name for name in known}
    rows = await connection.execute(select(table).where(table.c.scope.in_(sorted(scopes))).order_by(table.c.plan))
    found = [await _tenant_plan(connection, row, known[row.plan], now) for row in rows.all()]
    return NamespaceUsage(namespace=namespace, plans=tuple(found))


async def _tenant_plan(connection: AsyncConnection, row: Row[Any], plan: KnownPlan, now: int) -> TenantPlan:
    table = schema.balances
    scope, window = Scope(row.plan, row.namespace), window_of(plan.spec, now)
    held = await reading.held(connection, [scope], now)
    wanted = (table.c.plan == row.plan, table.c.namespace == row.namespace, table.c.integration != "")
    query: Select[Any] = select(table, _begun(window)).where(*wanted).order_by(table.c.integration).limit(MOST_INTEGRATIONS + 1)
    rows = (await connection.execute(query)).all()
    listed = await _integrations(connection, row.plan, plan.spec, rows[:MOST_INTEGRATIONS], now)
    return TenantPlan(
        plan=row.plan,
        deleted=plan.deleted,
        period=window.period,
        period_length=plan.spec.period,
        currency=window.currency,
        enforcement=plan.spec.enforcement,
        standing=standing(of_present(row, scope, window), held.get(scope, Held()), plan.spec.limits),
        periods=await _periods(connection, row, scope, window),
        integrations=tuple(listed),
        more_integrations=len(rows) > MOST_INTEGRATIONS,
    )


async def _integrations(
    connection: AsyncConnection, name: str, plan: PlanSpecification, rows: Sequence[Row[Any]], now: int
) -> list[IntegrationUsage]:
    if not rows:
        return []
    window = window_of(plan, now)
    namespaces = sorted({row.namespace for row in rows})
    tenants = [Scope(name, namespace) for namespace in namespaces]
    held = await reading.held(connection, tenants, now)
    wider = await reading.balances(connection, [*tenants, Scope(name)])
    least = least_of(plan, now)
    found = []
    for row in rows:
        tenant = Tenant(name, row.namespace, row.integration)
        scope, *others = tenant.scopes
        balance = of_present(row, scope, window)
        levels = dict(zip(Level, (balance, *(present(wider.get(other), other, window)[0] for other in others)), strict=True))
        refusal = exhausted(name, plan, least, levels, now)
        found.append(
            IntegrationUsage(
                namespace=row.namespace,
                integration=row.integration,
                period=window.period,
                sessions=row.begun,
                standing=standing(balance, held.get(scope, Held()), plan.per_integration),
                exhausted=None if refusal is None else refusal.reason,
                message="" if refusal is None else refusal.message,
            )
        )
    return found


def _begun(window: Window) -> Label[int]:
    """Count an integration's sessions that began in a period, those given back unused left out, as a column beside its balance."""
    sessions, table = schema.sessions, schema.balances
    first = datetime.fromisoformat(window.period if len(window.period) > 7 else f"{window.period}-01").replace(tzinfo=UTC)
    wanted = (
        sessions.c.namespace == table.c.namespace,
        sessions.c.integration == table.c.integration,
        sessions.c.started_at >= int(first.timestamp() * 1000),
        sessions.c.plan == table.c.plan,
        or_(sessions.c.ended_at.is_(None), sessions.c.ended_at > sessions.c.started_at),
    )
    return select(func.count()).select_from(sessions).where(*wanted).correlate(table).scalar_subquery().label("begun")


def _summary(name: str, plan: KnownPlan, now: int) -> dict[str, Any]:
    window, spec = window_of(plan.spec, now), plan.spec
    return {
        "plan": name,
        "deleted": plan.deleted,
        "pool": spec.pool_ref.name,
        "period": window.period,
        "period_length": spec.period,
        "currency": window.currency,
        "enforcement": spec.enforcement,
        "stop_policy": spec.stop_policy,
    }


def of_present(row: Row[Any], scope: Scope, window: Window) -> Balance:
    """Return the balance of the present period: that of one that is over counts no more, although nobody has put it aside yet."""
    return _balances(row, scope, window)[0]


def _balances(row: Row[Any] | None, scope: Scope, window: Window) -> tuple[Balance, Balance | None]:
    return present(reading.balance_of(row, scope) if row is not None else None, scope, window)


async def _periods(connection: AsyncConnection, row: Row[Any] | None, scope: Scope, window: Window) -> tuple[PeriodUse, ...]:
    """Return the latest periods, the present one first. One that is over may still stand where the present one belongs."""
    balance, over = _balances(row, scope, window)
    table = schema.past_balances
    query = select(table).where(table.c.scope == scope.key).order_by(table.c.period.desc()).limit(MOST_PERIODS)
    past = [Balance(scope, Window(old.period, old.currency), old.session_ms, old.micro_units) for old in await connection.execute(query)]
    known = [balance, *([over] if over is not None else []), *past][:MOST_PERIODS]
    return tuple(
        PeriodUse(
            period=some.window.period,
            currency=some.window.currency,
            used=Amounts(session_ms=some.session_ms, micro_units=some.micro_units),
        )
        for some in known
    )


def _bounds(limits: Limits | None) -> Bounds:
    if limits is None:
        return Bounds()
    seconds = limits.session_seconds_per_period
    return Bounds(
        sessions=limits.concurrent_sessions,
        session_ms=None if seconds is None else seconds * 1000,
        micro_units=limits.spend_micro_units,
    )


def standing(balance: Balance, held: Held, limits: Limits | None) -> Standing:
    """Return where somebody stands who has used and holds so much."""
    bounds = _bounds(limits)
    return Standing(
        used=Amounts(session_ms=balance.session_ms, micro_units=balance.micro_units),
        held=Holding(sessions=held.sessions, session_ms=held.session_ms, micro_units=held.micro_units),
        limits=bounds,
        left=Bounds(
            sessions=_left(bounds.sessions, held.sessions),
            session_ms=_left(bounds.session_ms, balance.session_ms + held.session_ms),
            micro_units=_left(bounds.micro_units, balance.micro_units + held.micro_units),
        ),
    )


def _left(bound: int | None, taken: int) -> int | None:
    return None if bound is None else max(0, bound - taken)
