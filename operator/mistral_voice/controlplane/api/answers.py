"""What the API answers. JSON with camelCase names; times in RFC 3339, UTC; money in whole micro-units of the plan's currency."""

from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

from mistral_voice.contract.lease import RefusalReason, Unit
from mistral_voice.contract.v1alpha1.plan import Enforcement, Period, StopPolicy
from mistral_voice.contract.v1alpha1.pool import KeyState, QuarantineReason, Region
from mistral_voice.controlplane.ledger.records import EntryKind

Item = TypeVar("Item")


class Answer(Struct, frozen=True, rename="camel", kw_only=True):
    """An answer, or a part of one."""


class Page(Answer, Generic[Item], frozen=True, kw_only=True):
    """Some of many: `next` is the cursor for the rest, null at the end."""

    items: tuple[Item, ...]
    next: str | None = None


class Amounts(Answer, frozen=True, kw_only=True):
    """Use of the present period."""

    session_ms: int = 0
    micro_units: int = 0


class Holding(Answer, frozen=True, kw_only=True):
    """What leases hold: sessions that run, and the time and money set aside for them."""

    sessions: int = 0
    session_ms: int = 0
    micro_units: int = 0


class Bounds(Answer, frozen=True, kw_only=True):
    """Limits, or what is left of them; null is without bound."""

    sessions: int | None = None
    session_ms: int | None = None
    micro_units: int | None = None


class Standing(Answer, frozen=True, kw_only=True):
    """Where somebody stands: `left` is the limits without what was used and what is held, never below 0."""

    used: Amounts
    held: Holding
    limits: Bounds
    left: Bounds


class PeriodUse(Answer, frozen=True, kw_only=True):
    """What was used in a period."""

    period: str
    currency: str
    used: Amounts


class Access(Answer, frozen=True, kw_only=True):
    """Who asks, and whether the lists of plans and pools hold all that there are."""

    user: str
    namespace: str | None
    """That of a ServiceAccount."""
    all_plans: bool
    all_pools: bool


class PlanSummary(Answer, frozen=True, kw_only=True):
    """A plan and its present period. `deleted`: it is gone, and what was used under it is still known."""

    plan: str
    deleted: bool
    pool: str
    period: str
    period_length: Period
    currency: str
    enforcement: Enforcement
    stop_policy: StopPolicy


class PlanUsage(PlanSummary, frozen=True, kw_only=True):
    """A plan's use by all its namespaces together, of which there were so many `tenants`.

    `namespace_limits` and `integration_limits` are those of each namespace and of each integration.
    """

    total: Standing
    tenants: int
    namespace_limits: Bounds
    integration_limits: Bounds


class TenantUsage(Answer, frozen=True, kw_only=True):
    """A namespace's use of a plan."""

    namespace: str
    standing: Standing


class IntegrationUsage(Answer, frozen=True, kw_only=True):
    """An integration's use of a plan; `sessions` are those begun in the period.

    `exhausted` is why every new session is refused until the period is over, and `message` a sentence about it.
    """

    namespace: str
    integration: str
    period: str
    sessions: int
    standing: Standing
    exhausted: RefusalReason | None = None
    message: str = ""


class TenantPlan(Answer, frozen=True, kw_only=True):
    """A plan as one namespace sees it: its own use and its integrations', and nothing of others. `periods`: the present one first."""

    plan: str
    deleted: bool
    period: str
    period_length: Period
    currency: str
    enforcement: Enforcement
    standing: Standing
    periods: tuple[PeriodUse, ...]
    integrations: tuple[IntegrationUsage, ...]
    more_integrations: bool
    """There are more than are listed here."""


class NamespaceUsage(Answer, frozen=True, kw_only=True):
    """All that a namespace uses."""

    namespace: str
    plans: tuple[TenantPlan, ...]


class Lease(Answer, frozen=True, kw_only=True):
    """A session's lease. `running` is false for one that ran out or was passed on and is not settled yet."""

    session: str
    epoch: int
    plan: str
    namespace: str
    integration: str
    models: tuple[str, ...]
    started_at: datetime
    expires_at: datetime
    running: bool
    held_session_ms: int
    held_micro_units: int


class PoolKey(Answer, frozen=True, kw_only=True):
    """A key of a pool by its name there; never anything of its Secret."""

    name: str
    state: KeyState
    rate_limit_domain: str
    weight: int
    sessions: int
    reason: QuarantineReason | None = None
    message: str = ""
    until: datetime | None = None
    changed_at: datetime | None = None
    probed_at: datetime | None = None


class Pool(Answer, frozen=True, kw_only=True):
    """A pool's keys by state."""

    pool: str
    region: Region
    active_keys: int
    keys: tuple[PoolKey, ...]


class AuditItem(Answer, frozen=True, kw_only=True):
    """Something that happened, `times` within the minute; `message` is a sentence."""

    id: int
    at: datetime
    event: str
    plan: str
    namespace: str
    integration: str
    session: str
    reason: str
    message: str
    times: int
    pool: str


class LedgerItem(Answer, frozen=True, kw_only=True):
    """An entry of the ledger. Session time has neither model nor unit."""

    id: int
    at: datetime
    plan: str
    namespace: str
    integration: str
    period: str
    currency: str
    session: str
    epoch: int
    kind: EntryKind
    session_ms: int
    micro_units: int
    model: str | None = None
    unit: Unit | None = None
    amount: int = 0


class Problem(Struct, frozen=True, kw_only=True):
    """Why there is no answer (RFC 9457); `detail` is a sentence that says what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
