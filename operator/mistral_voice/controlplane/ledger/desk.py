"""The memory of one transaction: what was read, and what the decisions, one after the other, make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mistral_voice.contract.lease import LeaseGrant, Refusal
from mistral_voice.controlplane.ledger.decisions import Decision, Known, KnownPlan
from mistral_voice.controlplane.ledger.limits import Level, Standing
from mistral_voice.controlplane.ledger.records import (
    AuditEntry,
    Balance,
    Counted,
    Entry,
    Held,
    Hold,
    Scope,
    Session,
    Tenant,
    Window,
)
from mistral_voice.controlplane.ledger.window import present, window_of

EpochKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Read:
    """What a transaction has read of the sessions and scopes that it is about, under their locks."""

    sessions: Mapping[str, Session]
    holds: Mapping[EpochKey, Hold]
    counted: Mapping[EpochKey, Counted]
    balances: Mapping[Scope, Balance]
    held: Mapping[Scope, Held]


@dataclass(slots=True)
class Written:
    """What a transaction has to write."""

    sessions: dict[str, Session] = field(default_factory=dict)
    holds: dict[EpochKey, Hold] = field(default_factory=dict)
    dropped: set[EpochKey] = field(default_factory=set)
    counted: dict[EpochKey, Counted] = field(default_factory=dict)
    balances: dict[Scope, Balance] = field(default_factory=dict)
    past: list[Balance] = field(default_factory=list)
    """To be added to what is known of windows that are over."""
    totals: dict[tuple[Scope, Window], Balance] = field(default_factory=dict)
    """To be added to totals that nobody limits, and that were therefore neither read nor locked."""
    entries: list[Entry] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)


class Desk:
    """Shows each decision what is known, and takes in what it decided, so that the next one knows it."""

    def __init__(self, now: int, plans: Mapping[str, KnownPlan], read: Read) -> None:
        self.written = Written()
        self._now = now
        self._plans = plans
        self._sessions = dict(read.sessions)
        self._holds = dict(read.holds)
        self._counted = dict(read.counted)
        self._balances = dict(read.balances)
        self._held = dict(read.held)
        self._epochs: dict[str, set[int]] = {}
        for session, epoch in self._holds:
            self._epochs.setdefault(session, set()).add(epoch)

    def session(self, session: str) -> Session | None:
        """Return a session as it stands."""
        return self._sessions.get(session)

    def known(self, session: str, epoch: int, tenant: Tenant) -> Known:
        """Return what is known of an epoch of a session of a tenant."""
        plan = self._plans.get(tenant.plan)
        window = self._window(plan, tenant)
        return Known(
            self._now,
            plan,
            window,
            {} if window is None else self._standings(plan, tenant, window),
            self._sessions.get(session),
            self._holds.get((session, epoch)),
            self._counted.get((session, epoch)),
            tuple(self._holds[session, other] for other in sorted(self._epochs.get(session, ())) if other != epoch),
        )

    def take_in(self, decision: Decision, tenant: Tenant) -> None:
        """Note what a decision changes."""
        begins = decision.session is not None and decision.session.session not in self._sessions
        if decision.session is not None:
            self._sessions[decision.session.session] = self.written.sessions[decision.session.session] = decision.session
        if decision.counted is not None:
            key = decision.counted.session, decision.counted.epoch
            self._counted[key] = self.written.counted[key] = decision.counted
        for hold in decision.holds:
            self._replace(hold.session, hold.epoch, hold.tenant, hold)
        for hold in decision.dropped:
            self._replace(hold.session, hold.epoch, hold.tenant, None)
        for entry in decision.entries:
            self._charge(entry)
        self._note(decision, tenant, begins=begins)

    def _window(self, plan: KnownPlan | None, tenant: Tenant) -> Window | None:
        if plan is not None:
            return window_of(plan.spec, self._now)
        balance = self._balances.get(tenant.scopes[1])
        return None if balance is None else balance.window

    def _standings(self, plan: KnownPlan | None, tenant: Tenant, window: Window) -> dict[Level, Standing]:
        levels = list(zip(Level, tenant.scopes, strict=True))
        if plan is None or plan.spec.total is None:
            levels.pop()
        return {level: Standing(self._present(scope, window), self._held.get(scope, Held())) for level, scope in levels}

    def _present(self, scope: Scope, window: Window) -> Balance:
        balance, over = present(self._balances.get(scope), scope, window)
        if over is not None:
            self.written.past.append(over)
            self.written.balances[scope] = balance
        self._balances[scope] = balance
        return balance

    def _replace(self, session: str, epoch: int, tenant: Tenant, hold: Hold | None) -> None:
        key = session, epoch
        before = self._holds.pop(key, None)
        less = before.held(self._now) if before is not None else Held()
        more = hold.held(self._now) if hold is not None else Held()
        if hold is None:
            self.written.holds.pop(key, None)
            self.written.dropped.add(key)
            self._epochs.get(session, set()).discard(epoch)
        else:
            self._holds[key] = self.written.holds[key] = hold
            self.written.dropped.discard(key)
            self._epochs.setdefault(session, set()).add(epoch)
        for scope in tenant.scopes:
            self._held[scope] = self._held.get(scope, Held()).minus(less).plus(more)

    def _charge(self, entry: Entry) -> None:
        self.written.entries.append(entry)
        for scope in entry.tenant.scopes:
            balance = self._balances.get(scope)
            if balance is not None and balance.window == entry.window:
                self._balances[scope] = self.written.balances[scope] = _added(balance, entry)
            elif balance is not None:
                self.written.past.append(_added(Balance(scope, entry.window), entry))
            else:
                more = self.written.totals.get((scope, entry.window), Balance(scope, entry.window))
                self.written.totals[scope, entry.window] = _added(more, entry)

    def _note(self, decision: Decision, tenant: Tenant, *, begins: bool) -> None:
        """Keep for the audit: what began, what was refused, and what would have been."""
        if begins and isinstance(decision.answer, LeaseGrant):
            self.written.audit.append(_audit(self._now, "SessionAdmitted", tenant, decision.answer.session, None))
        if isinstance(decision.answer, Refusal):
            self.written.audit.append(_audit(self._now, "Refused", tenant, "", decision.answer))
        if decision.shadowed is not None:
            self.written.audit.append(_audit(self._now, "WouldHaveBeenRefused", tenant, "", decision.shadowed))


def scopes_to_lock(tenants: Iterable[Tenant], plans: Mapping[str, KnownPlan]) -> list[Scope]:
    """Return the scopes whose balances a transaction about these tenants has to lock, in the order that all transactions keep to.

    A plan's total is among them only if it is limited, so that tenants of a plan don't wait for each other otherwise.
    """
    scopes: set[Scope] = set()
    for tenant in tenants:
        integration, namespace, total = tenant.scopes
        plan = plans.get(tenant.plan)
        scopes |= {integration, namespace} if plan is None or plan.spec.total is None else {integration, namespace, total}
    return sorted(scopes, key=lambda scope: scope.key)


def _added(balance: Balance, entry: Entry) -> Balance:
    return replace(balance, session_ms=balance.session_ms + entry.session_ms, micro_units=balance.micro_units + entry.micro_units)


def _audit(now: int, event: str, tenant: Tenant, session: str, refusal: Refusal | None) -> AuditEntry:
    reason, message = ("", "") if refusal is None else (refusal.reason.value, refusal.message)
    entry = AuditEntry(now, event, tenant.plan, tenant.namespace, tenant.integration, session, reason, message)
    # A minute's refusals of a tenant for one reason are one row: who asks in a loop doesn't fill the disk.
    return entry if refusal is None else replace(entry, alike=f"{event}/{tenant.scopes[0].key}/{reason}/{now // 60_000}")
