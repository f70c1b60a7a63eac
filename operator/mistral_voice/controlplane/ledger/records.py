"""What the ledger remembers, as frozen records. Times are milliseconds since 1970 (UTC), money whole micro-units of the plan's currency."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mistral_voice.contract.lease import KeyReference, Unit

Measure = tuple[str, Unit]
"""A model and the unit in which its use is counted."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose use is added up: an integration's, a namespace's (no integration) or that of all a plan's namespaces (neither)."""

    plan: str
    namespace: str = ""
    integration: str = ""

    @property
    def key(self) -> str:
        """Return the scope as a text. Names of Kubernetes have no slash; a plan's scope sorts after those of its namespaces."""
        return f"{self.plan}/{self.namespace or '~'}/{self.integration or '~'}"


@dataclass(frozen=True, slots=True)
class Tenant:
    """The integration that a session belongs to, and the plan that it uses."""

    plan: str
    namespace: str
    integration: str

    @property
    def scopes(self) -> tuple[Scope, Scope, Scope]:
        """Return the scopes in which its use counts: integration, namespace, total."""
        return Scope(self.plan, self.namespace, self.integration), Scope(self.plan, self.namespace), Scope(self.plan)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A period in which use is counted, such as `2026-11` or `2026-11-22`, and the currency."""

    period: str
    currency: str


@dataclass(frozen=True, slots=True)
class Balance:
    """What a scope has used in a window. `window` is the one that counts at present."""

    scope: Scope
    window: Window
    session_ms: int = 0
    micro_units: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What a scope holds at present: sessions of leases that run, time and money of leases that are not settled."""

    sessions: int = 0
    session_ms: int = 0
    micro_units: int = 0

    def plus(self, other: "Held") -> "Held":
        """Return both together."""
        return Held(self.sessions + other.sessions, self.session_ms + other.session_ms, self.micro_units + other.micro_units)

    def minus(self, other: "Held") -> "Held":
        """Return this without the other."""
        return Held(self.sessions - other.sessions, self.session_ms - other.session_ms, self.micro_units - other.micro_units)


@dataclass(frozen=True, slots=True)
class Hold:
    """The lease of a session under one epoch: so much is set aside until it is renewed, released or settled by the sweep.

    `superseded_at` is set once a later epoch of the session has taken its place; it then holds no session any more, and its time and
    money until its broker has told the last of its use.
    """

    session: str
    epoch: int
    tenant: Tenant
    expires_at: int
    acknowledged_at: int
    session_ms: int
    micro_units: int
    superseded_at: int | None = None

    def held(self, now: int) -> Held:
        """Return what it counts for. Its session is free at its expiry; its time and money are not before it is settled."""
        return Held(int(self.superseded_at is None and self.expires_at > now), self.session_ms, self.micro_units)


class EpochState(StrEnum):
    """What became of an epoch: it goes on, it was settled by estimate since nothing was heard of it, or its broker told the last of it."""

    OPEN = "Open"
    EXPIRED = "Expired"
    RELEASED = "Released"


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of an epoch's use: the most that any report said, and what was charged beyond by estimate."""

    session: str
    epoch: int
    seq: int = 0
    session_ms: int = 0
    amounts: Mapping[Measure, int] = field(default_factory=dict)
    state: EpochState = EpochState.OPEN
    acknowledged_at: int = 0
    estimated_ms: int = 0
    estimated_micro_units: int = 0
    estimated_in: Window | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session: whose it is, its latest epoch, and the key that it is bound to."""

    session: str
    tenant: Tenant
    integration_uid: str
    epoch: int
    broker: str
    models: tuple[str, ...]
    key: KeyReference
    started_at: int
    ended_at: int | None = None
    """The same as `started_at` for one that was given back unused, and counts as none."""


class EntryKind(StrEnum):
    """Why something was charged."""

    USAGE = "Usage"
    ESTIMATE = "Estimate"
    """A lease ran out and nobody told of it: time and money until then, at most what it held."""
    CORRECTION = "Correction"
    """The true use became known after an estimate, which is taken back."""
    UNPRICED = "Unpriced"
    """Use of something that the price book doesn't know, at the highest price that it has for the unit."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger, never changed. Session time has neither model nor unit, and no price of its own."""

    at: int
    tenant: Tenant
    window: Window
    session: str
    epoch: int
    kind: EntryKind
    session_ms: int = 0
    model: str = ""
    unit: Unit | None = None
    amount: int = 0
    micro_units: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that a person may ask about later, `times` times. Those that are `alike` are kept as one: anybody can be refused often."""

    at: int
    event: str
    plan: str = ""
    namespace: str = ""
    integration: str = ""
    session: str = ""
    reason: str = ""
    message: str = ""
    alike: str | None = None
    times: int = 1
    pool: str = ""
