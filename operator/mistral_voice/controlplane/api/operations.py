"""What may be asked: each operation's path, parameters, right and answer, in one table that serving and description share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification
from mistral_voice.controlplane.api import focus, pools, records, standings
from mistral_voice.controlplane.api.access import namespace_usage, plan_usage, pool_status
from mistral_voice.controlplane.api.answers import (
    Access,
    AuditItem,
    IntegrationUsage,
    Lease,
    LedgerItem,
    NamespaceUsage,
    Page,
    PlanSummary,
    PlanUsage,
    Pool,
    TenantUsage,
)
from mistral_voice.controlplane.api.parameters import (
    AFTER_INTEGRATION,
    AFTER_SESSION,
    AFTER_TENANT,
    BEFORE_ENTRY,
    CONTAINING,
    FROM_DAY,
    LIMIT,
    NAMESPACE,
    OF_INTEGRATION,
    OF_NAMESPACE,
    PLAN,
    POOL,
    SORT,
    TO_DAY,
    Asked,
    Parameter,
    Text,
)
from mistral_voice.controlplane.api.records import About
from mistral_voice.controlplane.api.tenants import Tenants, tenants
from mistral_voice.controlplane.keys.events import EVENTS as KEY_EVENTS
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.records import EntryKind
from mistral_voice.kube.authorization import Right


class NotFound(Exception):
    """There is nothing of this name; the text says of what."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from."""

    connection: AsyncConnection
    plans: Mapping[str, KnownPlan]
    pools: Mapping[str, KeyPoolSpecification]
    keys: KeyRing
    now: int


Work = Callable[[Sources, Asked], Awaitable[Any]]
Listing = Callable[[Sources, str], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that may be asked. `right` is what the one who asks needs. `answer` is the type of the answer, str for CSV."""

    name: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    right: Callable[[Asked], Right]
    answer: Any
    work: Work


@dataclass(frozen=True, slots=True)
class Index:
    """A list of what there is of a kind, of which each sees what it has a right to."""

    name: str
    path: str
    summary: str
    names: Callable[[Sources], list[str]]
    right: Callable[[str], Right]
    answer: Any
    work: Listing


@dataclass(frozen=True, slots=True)
class Introduction:
    """The question that everybody whose token is accepted may ask: who they are."""

    name: str
    path: str
    summary: str
    answer: Any


EVENTS: Final = ("SessionAdmitted", "Refused", "WouldHaveBeenRefused", "PlanChanged", "PlanDeleted")
_KEY_EVENT: Final = Text("event", "Only events of this kind.", choices=KEY_EVENTS)
_EVENT: Final = Text("event", "Only events of this kind.", choices=EVENTS)
_KIND: Final = Text("kind", "Only entries of this kind.", choices=tuple(kind.value for kind in EntryKind))
_BASE: Final = "/api/v1"


INTRODUCTION: Final = Introduction(
    "getAccess", f"{_BASE}/access", "Who you are, and whether you may get all plans' usage and all pools' status", Access
)


def indexes() -> tuple[Index, ...]:
    """Return the lists."""
    return (
        Index(
            "listPlans",
            f"{_BASE}/plans",
            "Plans whose usage you may get",
            lambda sources: sorted(sources.plans),
            plan_usage,
            Page[PlanSummary],
            lambda sources, name: standings.summary(name, sources.plans[name], sources.now),
        ),
        Index(
            "listPools",
            f"{_BASE}/pools",
            "Pools whose status you may get, and the states of their keys",
            lambda sources: sorted(sources.pools),
            pool_status,
            Page[Pool],
            _pool,
        ),
    )


def operations() -> tuple[Operation, ...]:
    """Return all that may be asked besides the lists."""
    plan, space = f"{_BASE}/plans/{{plan}}", f"{_BASE}/namespaces/{{namespace}}"
    narrower = (OF_NAMESPACE, OF_INTEGRATION)
    return (
        Operation("getPlanUsage", f"{plan}/usage", "A plan's use, limits and what is left, of all its namespaces", (PLAN,), _of_plan,
                  PlanUsage, _plan_usage),
        Operation("listPlanTenants", f"{plan}/tenants", "Namespaces that have used a plan: use, limits and what is left",
                  (PLAN, CONTAINING, SORT, AFTER_TENANT, LIMIT), _of_plan, Page[TenantUsage], _tenants),
        Operation("listPlanIntegrations", f"{plan}/integrations", "Integrations that have used a plan, each with its use",
                  (PLAN, AFTER_INTEGRATION, LIMIT), _of_plan, Page[IntegrationUsage], _integrations),
        Operation("listPlanSessions", f"{plan}/sessions", "Sessions that hold a lease of a plan now",
                  (PLAN, *narrower, AFTER_SESSION, LIMIT), _of_plan, Page[Lease], _plan_leases),
        Operation("listPlanAudit", f"{plan}/audit", "Audit entries of a plan, the latest first",
                  (PLAN, *narrower, _EVENT, BEFORE_ENTRY, LIMIT), _of_plan, Page[AuditItem], _audit),
        Operation("listPlanEntries", f"{plan}/entries", "Ledger entries of a plan, the latest first",
                  (PLAN, *narrower, _KIND, BEFORE_ENTRY, LIMIT), _of_plan, Page[LedgerItem], _entries),
        Operation("exportPlanCosts", f"{plan}/costs", "Cost of a plan in FOCUS format", (PLAN, *narrower, FROM_DAY, TO_DAY), _of_plan, str,
                  _costs),
        Operation("getNamespaceUsage", f"{space}/usage", "A namespace's use of each plan, limits and what is left, by integration",
                  (NAMESPACE,), _of_namespace, NamespaceUsage, _namespace_usage),
        Operation("listNamespaceSessions", f"{space}/sessions", "Sessions of a namespace that hold a lease now",
                  (NAMESPACE, OF_INTEGRATION, AFTER_SESSION, LIMIT), _of_namespace, Page[Lease], _leases),
        Operation("listNamespaceAudit", f"{space}/audit", "Audit entries of a namespace, the latest first",
                  (NAMESPACE, OF_INTEGRATION, _EVENT, BEFORE_ENTRY, LIMIT), _of_namespace, Page[AuditItem], _audit),
        Operation("listNamespaceEntries", f"{space}/entries", "Ledger entries of a namespace, the latest first",
                  (NAMESPACE, OF_INTEGRATION, _KIND, BEFORE_ENTRY, LIMIT), _of_namespace, Page[LedgerItem], _entries),
        Operation("exportNamespaceCosts", f"{space}/costs", "Cost of a namespace in FOCUS format",
                  (NAMESPACE, OF_INTEGRATION, FROM_DAY, TO_DAY), _of_namespace, str, _costs),
        Operation("getPool", f"{_BASE}/pools/{{pool}}", "A pool's keys by state", (POOL,), _of_pool, Pool, _one_pool),
        Operation("listPoolAudit", f"{_BASE}/pools/{{pool}}/audit", "What happened to a pool's keys, the latest first",
                  (POOL, _KEY_EVENT, BEFORE_ENTRY, LIMIT), _of_pool, Page[AuditItem], _audit),
    )  # fmt: skip


def _of_plan(asked: Asked) -> Right:
    return plan_usage(asked["plan"])


def _of_namespace(asked: Asked) -> Right:
    return namespace_usage(asked["namespace"])


def _of_pool(asked: Asked) -> Right:
    return pool_status(asked["pool"])


def _plan(sources: Sources, asked: Asked) -> KnownPlan:
    plan = sources.plans.get(asked["plan"])
    if plan is None:
        raise NotFound("There is no plan of this name, and there never was.")
    return plan


def _about(asked: Asked) -> About:
    return About(*(asked.texts.get(name, "") for name in ("plan", "namespace", "integration", "pool")))


async def _plan_usage(sources: Sources, asked: Asked) -> PlanUsage:
    return await standings.plan_usage(sources.connection, asked["plan"], _plan(sources, asked), sources.now)


async def _tenants(sources: Sources, asked: Asked) -> Page[TenantUsage]:
    plan, limit = _plan(sources, asked), asked.wholes["limit"]
    wanted = Tenants(containing=asked["containing"], sort=asked["sort"], after=asked["cursor"], limit=limit)
    return await tenants(sources.connection, asked["plan"], plan, wanted, sources.now)


async def _integrations(sources: Sources, asked: Asked) -> Page[IntegrationUsage]:
    plan, limit = _plan(sources, asked), asked.wholes["limit"]
    return await standings.integrations(sources.connection, asked["plan"], plan, asked["cursor"], limit, sources.now)


async def _namespace_usage(sources: Sources, asked: Asked) -> NamespaceUsage:
    return await standings.namespace_usage(sources.connection, asked["namespace"], sources.plans.items(), sources.now)


async def _plan_leases(sources: Sources, asked: Asked) -> Page[Lease]:
    _plan(sources, asked)
    return await _leases(sources, asked)


async def _leases(sources: Sources, asked: Asked) -> Page[Lease]:
    return await records.leases(sources.connection, _about(asked), asked["cursor"], asked.wholes["limit"], sources.now)


async def _audit(sources: Sources, asked: Asked) -> Page[AuditItem]:
    return await records.audit(sources.connection, _about(asked), asked["event"], asked["cursor"], asked.wholes["limit"])


async def _entries(sources: Sources, asked: Asked) -> Page[LedgerItem]:
    return await records.entries(sources.connection, _about(asked), asked["kind"], asked["cursor"], asked.wholes["limit"])


async def _costs(sources: Sources, asked: Asked) -> str:
    return await focus.costs(sources.connection, _about(asked), asked["from"], asked["to"])


async def _one_pool(sources: Sources, asked: Asked) -> Pool:
    if asked["pool"] not in sources.pools:
        raise NotFound("There is no pool of this name.")
    return _pool(sources, asked["pool"])


def _pool(sources: Sources, name: str) -> Pool:
    return pools.pool(name, sources.pools[name], sources.keys.records(name), sources.keys.sessions)
