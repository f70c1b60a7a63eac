"""Whether what was spent of a period leaves room for a new session, so that people are told before they talk."""

from collections.abc import Mapping

from mistral_voice.contract.lease import Refusal
from mistral_voice.contract.v1alpha1.plan import Enforcement, ModelKind, PlanSpecification
from mistral_voice.controlplane.ledger.limits import Level, Standing, shortage
from mistral_voice.controlplane.ledger.metering import nominal_cost
from mistral_voice.controlplane.ledger.records import Balance, Held


def exhausted(name: str, plan: PlanSpecification, least: Held, balances: Mapping[Level, Balance], now: int) -> Refusal | None:
    """Return why every new session is refused until the period is over, None if some are not.

    What is held passes, and so does a limit of concurrent sessions: neither counts here. `least` is what a session asks for at least,
    `balances` are those of all levels that the plan limits.
    """
    if plan.enforcement is not Enforcement.ENFORCE:
        return None
    standings = {level: Standing(balance, Held()) for level, balance in balances.items()}
    return shortage(name, plan, standings, least, now)


def least_of(plan: PlanSpecification, now: int) -> Held:
    """Return what a session asks for that uses the cheapest models of a plan."""
    costs = ([nominal_cost(plan, (model,), now) for model in plan.models.of_kind(kind)] for kind in ModelKind)
    cheapest = sum(min((cost for cost in of_kind if cost is not None), default=0) for of_kind in costs)
    return Held(0, plan.quantum_seconds * 1000, cheapest)
