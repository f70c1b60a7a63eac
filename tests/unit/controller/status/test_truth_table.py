"""What holds of every status, whatever the facts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import given as generated

from mistral_voice.contract.v1alpha1.status import IntegrationStatus
from mistral_voice.controller.build import build
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.events import events_for
from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.input import Input
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.reasons import ConditionType
from mistral_voice.controller.status import derive, next_change, same_meaning
from tests.unit.controller.documented import documented_reasons
from tests.unit.controller.given import NOW
from tests.unit.controller.status.inputs import inputs

thorough = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
FOUR = (ConditionType.CONFIG_VALID, ConditionType.CREDENTIAL_RESOLVED, ConditionType.HEALTHY, ConditionType.GATEWAY_AVAILABLE)
DOCUMENTED = documented_reasons()


def status_of(state: Input) -> dict[str, Any]:
    return derive(state, check(state))


def states(status: Mapping[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


@generated(inputs())
@thorough
def test_ready_is_the_four_together(state: Input) -> None:
    seen = states(status_of(state))
    four = [seen[condition] for condition in FOUR]
    if seen[ConditionType.READY] == "True":
        assert four == ["True"] * 4
    if four == ["True"] * 4:
        assert seen[ConditionType.READY] == "True"
    suspended = state.spec is not None and state.spec.suspend
    if "False" in four or suspended:
        assert seen[ConditionType.READY] == "False"


@generated(inputs())
@thorough
def test_stalled_is_neither_ready_nor_reconciling(state: Input) -> None:
    seen = states(status_of(state))
    if seen[ConditionType.STALLED] == "True":
        assert seen[ConditionType.READY] == "False"
        assert seen[ConditionType.RECONCILING] == "False"


@generated(inputs())
@thorough
def test_invalid_configuration_stalls_changes_nothing_and_leaves_the_gateway_available(state: Input) -> None:
    seen = states(status_of(state))
    if seen[ConditionType.CONFIG_VALID] == "False":
        assert seen[ConditionType.STALLED] == "True"
        assert build(state, valid=valid(check(state))).hold
        suspended = state.spec is not None and state.spec.suspend
        if state.deployment is not None and state.deployment.ready_replicas and not suspended:
            assert seen[ConditionType.GATEWAY_AVAILABLE] == "True"
    else:
        assert state.spec is not None


@generated(inputs())
@thorough
def test_mistrals_own_trouble_never_stalls(state: Input) -> None:
    status = status_of(state)
    stalled = next(condition for condition in status["conditions"] if condition["type"] == ConditionType.STALLED)
    if stalled["status"] == "True":
        assert stalled["reason"] not in {code.value for code in ProbeCode if code.trouble}


@generated(inputs())
@thorough
def test_all_conditions_are_there_in_their_order_with_reasons_that_are_documented(state: Input) -> None:
    status = status_of(state)
    assert [condition["type"] for condition in status["conditions"]] == [
        str(condition) for condition in ConditionType if condition != ConditionType.WITHIN_QUOTA or state.told_usage is not None
    ]
    for condition in status["conditions"]:
        documented = DOCUMENTED[condition["type"]]
        assert condition["reason"] in documented.get(condition["status"], set()), condition


@generated(inputs())
@thorough
def test_status_fits_its_schema(state: Input) -> None:
    parsed = IntegrationStatus.model_validate(status_of(state))
    assert all(condition.message for condition in parsed.conditions)


@generated(inputs())
@thorough
def test_next_visit_with_the_same_facts_writes_nothing(state: Input) -> None:
    first = status_of(state)
    second = status_of(replace(state, previous=parse_status(first)))
    assert same_meaning(first, second, state.now)


@generated(inputs())
@thorough
def test_transition_time_moves_with_the_status_alone(state: Input) -> None:
    before = parse_status(status_of(state))
    later = replace(state, previous=before, now=NOW + timedelta(minutes=1))
    for condition in status_of(later)["conditions"]:
        former = before.conditions[condition["type"]]
        moved = parse_status({"conditions": [condition]}).conditions[condition["type"]].last_transition_time != former.last_transition_time
        assert moved == (condition["status"] != former.status)


@generated(inputs())
@thorough
def test_events_fit_and_an_unchanged_status_has_none(state: Input) -> None:
    status = status_of(state)
    for notice in events_for(state, status, first=False):
        assert notice.reason.isalnum()
        assert 0 < len(notice.note) <= 1024
    rotated = getattr(state.credential, "rotated_at", None)
    settled = replace(state, previous=parse_status(status))
    if rotated is None:
        assert events_for(settled, status, first=False) == []


@generated(inputs())
@thorough
def test_next_change_is_ahead(state: Input) -> None:
    moment = next_change(state)
    assert moment is None or moment > state.now
