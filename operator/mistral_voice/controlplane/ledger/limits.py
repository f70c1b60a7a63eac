"""Whether there is room for a lease: what was spent and what is held, against the limits of a plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mistral_voice.contract.lease import Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.plan import Limits, PlanSpecification
from mistral_voice.controlplane.ledger.records import Balance, Held
from mistral_voice.controlplane.ledger.window import seconds_left


class Level(StrEnum):
    """Whose limits: those of the integration, of its namespace, or of all namespaces of the plan."""

    INTEGRATION = "integration"
    NAMESPACE = "namespace"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a scope stands: what it has used in the present window, and what it holds, the lease asked for left out."""

    balance: Balance
    held: Held


Standings = Mapping[Level, Standing]


def limits_of(plan: PlanSpecification) -> Iterator[tuple[Level, Limits]]:
    """Return the limits that a plan sets, from the narrowest."""
    for level, limits in ((Level.INTEGRATION, plan.per_integration), (Level.NAMESPACE, plan.limits), (Level.TOTAL, plan.total)):
        if limits is not None:
            yield level, limits


def shortage(name: str, plan: PlanSpecification, standings: Standings, ask: Held, now: int) -> Refusal | None:
    """Return why there is no room for `ask`, or None: spent + held + asked must not exceed any limit. `name` is the plan's."""
    for level, limits in limits_of(plan):
        reason = _exceeded(limits, standings[level], ask)
        if reason is not None:
            wait = plan.quantum_seconds if reason is RefusalReason.SESSIONS_EXHAUSTED else seconds_left(plan.period, now)
            return Refusal(reason, _sentence(reason, level, limits, name, plan), wait)
    return None


def _exceeded(limits: Limits, standing: Standing, ask: Held) -> RefusalReason | None:
    balance, held = standing.balance, standing.held
    sessions, seconds, spend = limits.concurrent_sessions, limits.session_seconds_per_period, limits.spend_micro_units
    # Only a new session can be one too many: those that run go on when the limit sinks below them.
    if sessions is not None and ask.sessions and held.sessions + ask.sessions > sessions:
        return RefusalReason.SESSIONS_EXHAUSTED
    if seconds is not None and balance.session_ms + held.session_ms + ask.session_ms > seconds * 1000:
        return RefusalReason.SECONDS_EXHAUSTED
    if spend is not None and balance.micro_units + held.micro_units + ask.micro_units > spend:
        return RefusalReason.SPEND_EXHAUSTED
    return None


_WHOSE = {Level.INTEGRATION: "an integration", Level.NAMESPACE: "a namespace", Level.TOTAL: "all namespaces together"}


def _sentence(reason: RefusalReason, level: Level, limits: Limits, name: str, plan: PlanSpecification) -> str:
    """Say which limit it is. How near others are to theirs is not for a tenant to know."""
    whose, period = _WHOSE[level], plan.period.value.lower()
    match reason:
        case RefusalReason.SESSIONS_EXHAUSTED:
            what = f"{limits.concurrent_sessions} sessions at the same time"
        case RefusalReason.SECONDS_EXHAUSTED:
            what = f"{limits.session_seconds_per_period} seconds of sessions a {period}"
        case _:
            what = f"{limits.spend_per_period} {plan.price_book.currency} a {period}"
    return f"Plan {name} allows {whose} {what}, and there is no room for more."
