"""The status of a plan: whether sessions can be admitted, their limits apart. Pure. `docs/managed-mode.md` has the table of reasons."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any

from mistral_voice.contract.v1alpha1.plan import PlanSpecification, StopPolicy
from mistral_voice.controller.managed.facts import PlanFacts, PoolFacts
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.status.times import wire_time

_LONGEST_LIST = 4


class PlanReason(StrEnum):
    """Why a plan is ready or not."""

    READY = "Ready"
    INVALID_SPEC = "InvalidSpec"
    POOL_NOT_FOUND = "PoolNotFound"
    PRICE_MISSING = "PriceMissing"
    NO_ACTIVE_KEY = "NoActiveKey"
    POOL_NOT_CHECKED = "PoolNotChecked"
    HELD = "Held"


@dataclass(frozen=True)
class PlanObservation:
    """What `Ready` is."""

    status: str
    reason: PlanReason
    message: str


def observe_plan(plan: PlanFacts, pool: PoolFacts | None, now: datetime) -> PlanObservation:
    """Return whether sessions of a plan can be admitted."""
    spec = plan.spec
    if spec is None:
        return PlanObservation("False", PlanReason.INVALID_SPEC, f"The plan can't be read: {plan.fault}")
    if pool is None:
        return PlanObservation("False", PlanReason.POOL_NOT_FOUND, f"There is no MistralKeyPool {spec.pool_ref.name!r}.")
    missing = spec.unpriced(now)
    if missing:
        named = ", ".join(f"{model} ({unit.value})" for model, unit in missing[:_LONGEST_LIST])
        more = f" and {len(missing) - _LONGEST_LIST} more" if len(missing) > _LONGEST_LIST else ""
        return PlanObservation(
            "False", PlanReason.PRICE_MISSING, f"The price book has no price at present for {named}{more}: such sessions are refused."
        )
    if pool.active_keys == 0:
        return PlanObservation("False", PlanReason.NO_ACTIVE_KEY, f"The pool {pool.name!r} has no active key.")
    if pool.active_keys is None:
        return PlanObservation(
            "Unknown", PlanReason.POOL_NOT_CHECKED, f"The control plane has not told of the keys of the pool {pool.name!r} yet."
        )
    if spec.stop_policy is not StopPolicy.NONE:
        return PlanObservation("False", PlanReason.HELD, f"stopPolicy is {spec.stop_policy.value}: new sessions are refused.")
    return PlanObservation("True", PlanReason.READY, "Sessions are admitted within the limits.")


def plan_status(plan: PlanFacts, pool: PoolFacts | None, *, generation: int, former: Any, now: datetime) -> dict[str, Any]:
    """Return the whole status of a plan. `former` is the status as it stands; a condition's time moves with its state alone."""
    seen = observe_plan(plan, pool, now)
    before = parse_status(former).conditions.get("Ready")
    unchanged = before is not None and before.status == seen.status and before.last_transition_time is not None
    since = before.last_transition_time if before is not None and unchanged and before.last_transition_time is not None else now
    condition = {
        "type": "Ready",
        "status": seen.status,
        "reason": seen.reason.value,
        "message": seen.message,
        "lastTransitionTime": wire_time(since),
        "observedGeneration": generation,
    }
    return {"observedGeneration": generation, "conditions": [condition]}


def next_price_change(spec: PlanSpecification, now: datetime) -> datetime | None:
    """Return when the next price begins to hold, or None if none is ahead."""
    begins = (datetime.combine(entry.from_, time(), UTC) for entry in spec.price_book.prices)
    return min((moment for moment in begins if moment > now), default=None)
