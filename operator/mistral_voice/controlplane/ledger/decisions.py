"""What becomes of a request for a lease, of a report and of a lease that ran out: pure functions over what the transaction has read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from mistral_voice.contract.lease import KeyReference, LeaseGrant, LeaseReport, LeaseRequest, Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.plan import Enforcement, PlanSpecification, StopPolicy
from mistral_voice.controlplane.ledger.limits import Level, Standing, Standings, shortage
from mistral_voice.controlplane.ledger.metering import charge, correction, nominal_cost, projected_cost, units_of
from mistral_voice.controlplane.ledger.records import Balance, Counted, Entry, EntryKind, EpochState, Held, Hold, Session, Tenant, Window

MOST_UNSETTLED: Final = 3
"""So many epochs of a session are unsettled at most. Those beside the present one are of brokers that are lost, or of lines that a gateway
which lies has left open: they can be used until their leases run out."""


@dataclass(frozen=True, slots=True)
class KnownPlan:
    """A plan as it stands, or as it last stood before it was deleted."""

    spec: PlanSpecification
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the transaction has read for one session, under the locks of its tenant."""

    now: int
    plan: KnownPlan | None
    window: Window | None
    standings: Mapping[Level, Standing]
    session: Session | None = None
    hold: Hold | None = None
    counted: Counted | None = None
    others: tuple[Hold, ...] = ()
    """Holds of the session's other epochs."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, and what is to be written."""

    answer: LeaseGrant | Refusal | None
    session: Session | None = None
    counted: Counted | None = None
    holds: tuple[Hold, ...] = ()
    dropped: tuple[Hold, ...] = ()
    entries: tuple[Entry, ...] = ()
    shadowed: Refusal | None = None
    """What would have been the answer, had the plan enforced its limits."""


def admit(request: LeaseRequest, key: KeyReference | Refusal, known: Known) -> Decision:
    """Grant a session's first lease, or its first under a new epoch, whose lease then takes the place of the one before."""
    tenant = Tenant(request.plan, request.namespace, request.integration)
    session, now = known.session, known.now
    if session is not None and (foreign := _not_its_session(request, session)) is not None:
        return Decision(foreign)
    if session is not None and request.epoch <= session.epoch:
        return Decision(_again(request, session, known))
    refusal = _plan_refusal(request.plan, known.plan, begins=session is None or session.ended_at is not None)
    if refusal is not None or known.plan is None:
        return Decision(refusal)
    plan = known.plan.spec
    cost = _first_cost(plan, request, now)
    if isinstance(cost, Refusal):
        return Decision(cost)
    if isinstance(key, Refusal):
        return Decision(key)
    if len(known.others) >= MOST_UNSETTLED:
        sentence = f"Session {request.session} has moved too often in a short time: its former leases are not settled yet."
        return Decision(Refusal(RefusalReason.TOO_MANY_REQUESTS, sentence, 2))
    earlier = tuple(_superseded(hold, now) for hold in known.others)
    ask = Held(1, plan.quantum_seconds * 1000, cost)
    standings = _instead(known.standings, known.others, earlier, now)
    short = shortage(request.plan, plan, standings, ask, now)
    if short is not None and plan.enforcement is Enforcement.ENFORCE:
        return Decision(short)
    started = session.started_at if session is not None else now
    taken = Session(request.session, tenant, request.integration_uid, request.epoch, request.broker, request.models, key, started)
    hold = Hold(request.session, request.epoch, tenant, now + ask.session_ms, now, ask.session_ms, cost)
    counted = Counted(request.session, request.epoch, acknowledged_at=now)
    return Decision(_grant(taken, hold, plan, now), taken, counted, (*earlier, hold), shadowed=short)


def _not_its_session(request: LeaseRequest, session: Session) -> Refusal | None:
    """Return why a session that is known isn't this integration's, or not under this plan: a session stays with that of its begin."""
    if (session.tenant.namespace, session.tenant.integration) != (request.namespace, request.integration):
        return Refusal(RefusalReason.EPOCH_OVER, f"Session {request.session} belongs to another integration.")
    if session.tenant.plan != request.plan:
        return Refusal(RefusalReason.LEASE_EXPIRED, "The integration claims another plan now; begin a new session.", 0)
    return None


def _again(request: LeaseRequest, session: Session, known: Known) -> LeaseGrant | Refusal:
    """Answer a request that came twice, since its first answer was lost, as before; and refuse an epoch that is over or another line's."""
    hold = known.hold
    live = hold is not None and hold.superseded_at is None and hold.expires_at > known.now and session.ended_at is None
    if live and hold is not None and request.epoch == session.epoch and request.broker == session.broker and known.plan is not None:
        return _grant(session, hold, known.plan.spec, known.now)
    sentence = f"Epoch {request.epoch} of session {request.session} is over or is another broker's: go on with epoch {session.epoch + 1}."
    return Refusal(RefusalReason.EPOCH_OVER, sentence)


def renew(report: LeaseReport, known: Known) -> Decision:
    """Count what a session has used, whatever the answer is, and prolong its lease if its plan still has room."""
    settled = _count(report, known)
    if settled.answer is not None or known.session is None or known.plan is None or settled.counted is None or known.counted is None:
        return settled
    session, now, plan, before = known.session, known.now, known.plan.spec, known.counted
    if before.state is EpochState.RELEASED or report.epoch < session.epoch:
        sentence = f"Epoch {report.epoch} of session {report.session} is over."
        return replace(settled, answer=Refusal(RefusalReason.EPOCH_OVER, sentence))
    refusal = _plan_refusal(session.tenant.plan, known.plan, begins=False) or _price_refusal(plan, session, settled, now)
    quantum_ms = plan.quantum_seconds * 1000
    if refusal is None and now > before.acknowledged_at + quantum_ms + plan.offline_grace_seconds * 1000 and not _live(known.hold, now):
        refusal = Refusal(RefusalReason.LEASE_EXPIRED, f"The lease of session {session.session} ran out and was not renewed in time.")
    if refusal is not None:
        return replace(settled, answer=refusal)
    spent = sum(entry.micro_units for entry in settled.entries if entry.kind is EntryKind.USAGE)
    nominal = nominal_cost(plan, session.models, now) or 0
    cost = max(nominal, projected_cost(plan, spent, now - before.acknowledged_at))
    hold = Hold(session.session, report.epoch, session.tenant, now + quantum_ms, now, quantum_ms, cost)
    own = () if known.hold is None else (known.hold,)
    standings = _charged(_instead(known.standings, own, (), now), settled.entries, known.window)
    # A session whose lease ran out has no place any more: it asks for one, like a new session.
    ask = Held(0 if _live(known.hold, now) else 1, quantum_ms, cost)
    short = shortage(session.tenant.plan, plan, standings, ask, now)
    if short is not None and plan.enforcement is Enforcement.ENFORCE:
        return replace(settled, answer=short)
    taken = replace(session, ended_at=None)
    counted = replace(settled.counted, state=EpochState.OPEN)
    answer = _grant(session, hold, plan, now)
    return replace(settled, answer=answer, session=taken, counted=counted, holds=(hold,), shadowed=short)


def release(report: LeaseReport, known: Known) -> Decision:
    """Count what a session has used under an epoch in all, and give back what it held. A second time changes nothing."""
    settled = _count(report, known)
    if settled.answer is not None or known.session is None or settled.counted is None:
        return settled
    session = known.session
    dropped = () if known.hold is None else (known.hold,)
    counted = replace(settled.counted, state=EpochState.RELEASED)
    return replace(settled, session=_ended(session, counted, known.now), counted=counted, holds=(), dropped=dropped)


def _ended(session: Session, counted: Counted, now: int) -> Session | None:
    """Return a session whose last epoch was released, None if nothing changes.

    One of which nothing was used has never begun: whoever asked for it did not hear the answer, and gives it back. It ends at its begin,
    by which it is told from those that count.
    """
    unused = session.epoch == 1 and counted.session_ms == 0 and not counted.amounts
    if counted.epoch != session.epoch or (session.ended_at is not None and (unused or session.ended_at != session.started_at)):
        return None
    return replace(session, ended_at=session.started_at if unused else max(now, session.started_at + 1))


def expire(known: Known) -> Decision:
    """Settle a lease that ran out: charge the time since the last word of it, at most what it held, and give back the rest."""
    hold, session, counted, window = known.hold, known.session, known.counted, known.window
    if hold is None or session is None or counted is None or window is None or hold.expires_at > known.now:
        return Decision(None)
    until = min(hold.expires_at, hold.superseded_at or hold.expires_at)
    estimated_ms = min(hold.session_ms, max(0, until - hold.acknowledged_at))
    micro = -(-hold.micro_units * estimated_ms // hold.session_ms) if hold.session_ms else 0
    entry = Entry(
        known.now,
        hold.tenant,
        window,
        hold.session,
        hold.epoch,
        EntryKind.ESTIMATE,
        session_ms=estimated_ms,
        micro_units=micro,
    )
    closed = replace(counted, state=EpochState.EXPIRED, estimated_ms=estimated_ms, estimated_micro_units=micro, estimated_in=window)
    ended = replace(session, ended_at=known.now) if session.epoch == hold.epoch and session.ended_at is None else None
    return Decision(None, ended, closed, dropped=(hold,), entries=(entry,))


def _count(report: LeaseReport, known: Known) -> Decision:
    """Take in a report; the decision has an answer only if it can't be taken in."""
    session, plan, counted, window = known.session, known.plan, known.counted, known.window
    if session is None or counted is None:
        sentence = f"No lease of session {report.session} under epoch {report.epoch} is known."
        return Decision(Refusal(RefusalReason.LEASE_EXPIRED, sentence))
    if plan is None or window is None:
        sentence = (
            f"Plan {session.tenant.plan} isn't known, so that what session {report.session} used can't be priced; it isn't counted yet."
        )
        return Decision(Refusal(RefusalReason.PLAN_NOT_FOUND, sentence))
    told, corrections = correction(counted, session.tenant, known.now)
    charged = charge(told, report.seq, report.usage, session.tenant, plan.spec, window, known.now)
    after = replace(charged.counted, state=counted.state if counted.state is EpochState.RELEASED else EpochState.OPEN)
    # What is told of is settled: what remains of the lease is held until its end.
    holds = () if known.hold is None else (_rest(known.hold, known.now),)
    return Decision(None, None, after, holds, (), (*corrections, *charged.entries))


def _rest(hold: Hold, now: int) -> Hold:
    left = max(0, min(hold.session_ms, (hold.superseded_at or hold.expires_at) - now, hold.expires_at - now))
    micro = -(-hold.micro_units * left // hold.session_ms) if hold.session_ms else 0
    return replace(hold, acknowledged_at=now, session_ms=left, micro_units=micro)


def _superseded(hold: Hold, now: int) -> Hold:
    """Return a hold as it is once a later epoch goes on: it can have used no more than the time until now."""
    if hold.superseded_at is not None:
        return hold
    used = min(hold.session_ms, max(0, now - hold.acknowledged_at))
    micro = -(-hold.micro_units * used // hold.session_ms) if hold.session_ms else 0
    return replace(hold, superseded_at=now, session_ms=used, micro_units=micro)


def _live(hold: Hold | None, now: int) -> bool:
    return hold is not None and hold.superseded_at is None and hold.expires_at > now


def _plan_refusal(name: str, plan: KnownPlan | None, *, begins: bool) -> Refusal | None:
    if plan is None or plan.deleted:
        return Refusal(RefusalReason.PLAN_NOT_FOUND, f"There is no plan {name}.")
    policy = plan.spec.stop_policy
    if policy is StopPolicy.HOLD_AND_DRAIN or (policy is StopPolicy.HOLD and begins):
        return Refusal(RefusalReason.PLAN_HELD, f"Plan {name} is held by its owner (stopPolicy {policy.value}).")
    return None


def _first_cost(plan: PlanSpecification, request: LeaseRequest, now: int) -> int | Refusal:
    for model in request.models:
        if not units_of(plan, model):
            return Refusal(RefusalReason.MODEL_NOT_IN_PLAN, f"Plan {request.plan} doesn't allow model {model}.")
    cost = nominal_cost(plan, request.models, now)
    return _no_price(request.plan, request.models) if cost is None else cost


def _price_refusal(plan: PlanSpecification, session: Session, settled: Decision, now: int) -> Refusal | None:
    unpriced = [entry.model for entry in settled.entries if entry.kind is EntryKind.UNPRICED]
    if unpriced:
        return _no_price(session.tenant.plan, tuple(unpriced))
    return _no_price(session.tenant.plan, session.models) if nominal_cost(plan, session.models, now) is None else None


def _no_price(plan: str, models: tuple[str, ...]) -> Refusal:
    return Refusal(RefusalReason.NO_PRICE, f"Plan {plan} has no price today for a use of {', '.join(sorted(set(models)))}.")


def _instead(standings: Standings, without: tuple[Hold, ...], having: tuple[Hold, ...], now: int) -> dict[Level, Standing]:
    """Return the standings with some of the session's own holds taken out and others put in."""
    less = sum_of(without, now)
    more = sum_of(having, now)
    return {level: replace(standing, held=standing.held.minus(less).plus(more)) for level, standing in standings.items()}


def sum_of(holds: tuple[Hold, ...], now: int) -> Held:
    """Return what holds count for together."""
    total = Held()
    for hold in holds:
        total = total.plus(hold.held(now))
    return total


def _charged(standings: Standings, entries: tuple[Entry, ...], window: Window | None) -> dict[Level, Standing]:
    """Return the standings after what a report adds to the present window."""
    now_due = [entry for entry in entries if entry.window == window]
    more_ms, more_money = sum(entry.session_ms for entry in now_due), sum(entry.micro_units for entry in now_due)
    return {level: replace(standing, balance=_plus(standing, more_ms, more_money)) for level, standing in standings.items()}


def _plus(standing: Standing, session_ms: int, micro_units: int) -> Balance:
    balance = standing.balance
    return replace(balance, session_ms=balance.session_ms + session_ms, micro_units=balance.micro_units + micro_units)


def _grant(session: Session, hold: Hold, plan: PlanSpecification, now: int) -> LeaseGrant:
    left = (hold.expires_at - now) // 1000
    return LeaseGrant(
        session.session,
        hold.epoch,
        left,
        max(1, left * 2 // 3),
        plan.offline_grace_seconds,
        session.key,
    )
