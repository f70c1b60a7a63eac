"""Who may have a session, with which models and voices."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs

from mistral_voice.broker.directory import IntegrationRecord, PlanRecord
from mistral_voice.broker.entitlement import Entitlement, entitlement
from mistral_voice.contract.lease import Refusal, RefusalReason
from tests.unit.broker.given import CHAT, LABELS, WANTED, integration, plan

REFUSED: list[tuple[RefusalReason, IntegrationRecord | None, PlanRecord | None, Mapping[str, str]]] = [
    (RefusalReason.NOT_MANAGED, None, plan(), LABELS),
    (RefusalReason.NOT_MANAGED, integration(deleting=True), plan(), LABELS),
    (RefusalReason.NOT_MANAGED, integration(mode="byok"), plan(), LABELS),
    (RefusalReason.SUSPENDED, integration(suspend=True), plan(), LABELS),
    (RefusalReason.PLAN_NOT_FOUND, integration(), None, LABELS),
    (RefusalReason.PLAN_NOT_FOUND, integration(), plan(deleting=True), LABELS),
    (RefusalReason.PLAN_NOT_FOUND, integration(), structs.replace(plan(), specification=None), LABELS),
    (RefusalReason.PLAN_NOT_ALLOWED, integration(), plan(), {"kubernetes.io/metadata.name": "bank"}),
    (RefusalReason.PLAN_NOT_ALLOWED, integration(), plan(), {}),
    (RefusalReason.PLAN_HELD, integration(), plan(stopPolicy="Hold"), LABELS),
    (RefusalReason.PLAN_HELD, integration(), plan(stopPolicy="HoldAndDrain"), LABELS),
    (RefusalReason.MODEL_NOT_IN_PLAN, integration(), plan(models={"chat": ["ministral-3b-latest"]}), LABELS),
    (RefusalReason.VOICE_NOT_IN_PLAN, integration(), plan(voices=["voice_1"]), LABELS),
]


@pytest.mark.parametrize(("reason", "claimant", "claimed", "labels"), REFUSED)
def test_a_session_is_refused_with_a_reason_and_a_sentence(
    reason: RefusalReason, claimant: IntegrationRecord | None, claimed: PlanRecord | None, labels: Mapping[str, str]
) -> None:
    answer = entitlement(claimant, claimed, labels, WANTED, begins=True)
    assert isinstance(answer, Refusal)
    assert answer.reason is reason
    assert answer.message.endswith(".")


def test_a_plan_that_is_held_lets_sessions_run_on_and_one_that_drains_does_not() -> None:
    assert isinstance(entitlement(integration(), plan(stopPolicy="Hold"), LABELS, WANTED, begins=False), Entitlement)
    assert isinstance(entitlement(integration(), plan(stopPolicy="HoldAndDrain"), LABELS, WANTED, begins=False), Refusal)


def test_only_models_of_the_plan_are_granted_whatever_the_integration_allows() -> None:
    claimant = integration(models=(CHAT, "ministral-3b-latest", "mistral-large-4"))
    answer = entitlement(claimant, plan(models={"chat": [CHAT, "ministral-3b-latest"]}), LABELS, WANTED, begins=True)
    assert isinstance(answer, Entitlement)
    assert answer.chat == {CHAT, "ministral-3b-latest"}
    assert len(answer.models) <= 8


@pytest.mark.parametrize(("voices", "allowed"), [(None, True), (["voice_478"], False)])
def test_voices_are_free_unless_the_plan_names_some(voices: Any, allowed: bool) -> None:
    answer = entitlement(integration(), plan(voices=voices), LABELS, WANTED, begins=True)
    assert isinstance(answer, Entitlement)
    assert answer.allows_voice("voice_592") is allowed
