"""A plan says of itself whether sessions can be admitted."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mistral_voice.contract.v1alpha1.plan import PlanStatus
from mistral_voice.controller.managed.facts import PlanFacts, PoolFacts
from mistral_voice.controller.managed.plan_status import PlanReason, next_price_change, observe_plan, plan_status
from tests.unit.contract.v1alpha1.plans import PRICES
from tests.unit.controller.given import NOW, plan

DOCUMENT = Path(__file__).parents[4] / "docs" / "managed-mode.md"
POOL = PoolFacts("main", 2)


def facts(**changes: Any) -> PlanFacts:
    return PlanFacts("standard", plan(**changes))


def book(*prices: dict[str, Any]) -> dict[str, Any]:
    return {"currency": "EUR", "prices": [*prices]}


@pytest.mark.parametrize(
    ("described", "pool", "expected"),
    [
        (facts(), POOL, ("True", "Ready")),
        (PlanFacts("standard", None, "spec.limits: Field required"), POOL, ("False", "InvalidSpec")),
        (facts(), None, ("False", "PoolNotFound")),
        (facts(priceBook=book(*PRICES[1:])), POOL, ("False", "PriceMissing")),
        (facts(priceBook=book(*PRICES[1:], PRICES[0] | {"from": "2027-01-01"})), POOL, ("False", "PriceMissing")),
        (facts(), PoolFacts("main", 0), ("False", "NoActiveKey")),
        (facts(), PoolFacts("main", None), ("Unknown", "PoolNotChecked")),
        (facts(stopPolicy="Hold"), POOL, ("False", "Held")),
        (facts(stopPolicy="HoldAndDrain"), POOL, ("False", "Held")),
    ],
)
def test_ready_says_what_is_missing(described: PlanFacts, pool: PoolFacts | None, expected: tuple[str, str]) -> None:
    seen = observe_plan(described, pool, NOW)
    assert (seen.status, seen.reason.value) == expected
    assert seen.message.endswith(".") or seen.reason is PlanReason.INVALID_SPEC


def test_missing_prices_are_named() -> None:
    message = observe_plan(facts(priceBook=book(PRICES[0])), POOL, NOW).message
    for words in ("mistral-medium-latest (outputTokens)", "voxtral-mini-transcribe-realtime-latest (audioMs)"):
        assert words in message
    many = facts(models={"chat": [f"m{number}" for number in range(32)]})
    assert "and 60 more" in observe_plan(many, POOL, NOW).message


def test_status_fits_its_schema_and_its_time_moves_with_the_state_alone() -> None:
    first = plan_status(facts(), POOL, generation=3, former={}, now=NOW)
    parsed = PlanStatus.model_validate(first)
    assert (parsed.observed_generation, parsed.conditions[0].observed_generation) == (3, 3)
    later = plan_status(facts(), POOL, generation=4, former=first, now=NOW + timedelta(hours=1))
    assert later["conditions"][0]["lastTransitionTime"] == first["conditions"][0]["lastTransitionTime"]
    held = plan_status(facts(stopPolicy="Hold"), POOL, generation=5, former=first, now=NOW + timedelta(hours=1))
    assert held["conditions"][0]["lastTransitionTime"] != first["conditions"][0]["lastTransitionTime"]


@pytest.mark.parametrize("former", [None, [], "x", {"conditions": 3}, {"conditions": [{"type": "Ready", "status": "True"}]}])
def test_whatever_somebody_wrote_by_hand_is_written_anew(former: Any) -> None:
    assert plan_status(facts(), POOL, generation=1, former=former, now=NOW)["conditions"][0]["status"] == "True"


def test_a_plan_is_looked_at_again_when_its_next_price_begins() -> None:
    spec = plan(priceBook=book(*PRICES, PRICES[0] | {"from": "2027-03-01"}, PRICES[0] | {"from": "2027-01-01"}))
    assert next_price_change(spec, NOW) == datetime(2027, 1, 1, tzinfo=UTC)
    assert next_price_change(plan(), NOW) is None


def test_every_reason_is_documented_and_no_other() -> None:
    section = DOCUMENT.read_text().split("## The plan's condition")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| (?:True|False|Unknown) \| `(\w+)`", section, re.MULTILINE)) == {reason.value for reason in PlanReason}
