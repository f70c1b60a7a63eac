"""Whether what was spent of a period leaves room for a new session, so that people are told before they talk."""

from collections.abc import Mapping

from mistral_voice.contract.lease import Refusal
from mistral_voice.contract.v1alpha1.plan import Enforcement, ModelKind, PlanSpecification
from mistral_voice.controlplane.ledger.limits import Level, Standing, shortage
from mistral_voice.controlplane.ledger.metering import nominal_cost
from mistral_voice.controlplane.ledger.records import Balance, Held


def exhausted(name: str, plan: PlanSpecification, balances: Mapping[Level, Balance], now: int) -> Refusal | None:
    """Return why every new session is refused until the period is over, None if some are not.

    What is held passes, and so does a limit of concurrent sessions: neither counts here. The session asked for is the cheapest that the
    plan offers. `balances` are those of all levels that the plan limits.
    """
    if plan.enforcement is not Enforcement.ENFORCE:
        return None
    standings = {level: Standing(balance, Held()) for level, balance in balances.items()}
    return shortage(name, plan, standings, Held(0, plan.quantum_seconds * 1000, _cheapest(plan, now)), now)


def _cheapest(plan: PlanSpecification, now: int) -> int:
    costs = ([nominal_cost(plan, (model,), now) for model in plan.models.of_kind(kind)] for kind in ModelKind)
    return sum(min((cost for cost in of_kind if cost is not None), default=0) for of_kind in costs)
