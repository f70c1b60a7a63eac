"""What the broker's pure parts are tried with."""

from typing import Any

from mistral_voice.broker.directory import IntegrationRecord, PlanRecord
from mistral_voice.broker.entitlement import Entitlement
from mistral_voice.contract.lease import Open
from mistral_voice.contract.v1alpha1.plan import PlanSpecification, parse_plan
from tests.unit.contract.v1alpha1.plans import plan_spec

CHAT, HEARING, SPEECH = "mistral-medium-latest", "voxtral-mini-transcribe-realtime-latest", "voxtral-mini-tts-latest"
LABELS = {"kubernetes.io/metadata.name": "support"}
WANTED = Open("sess_1", 1, CHAT, "voice_478", HEARING, SPEECH)


def integration(**changes: Any) -> IntegrationRecord:
    fields: dict[str, Any] = {
        "namespace": "support",
        "name": "hello",
        "uid": "u1",
        "resource_version": "1",
        "mode": "managed",
        "plan": "standard",
        "models": (CHAT,),
    }
    return IntegrationRecord(**(fields | changes))


def plan(deleting: bool = False, **changes: Any) -> PlanRecord:
    specification = parse_plan(plan_spec(**changes))
    assert isinstance(specification, PlanSpecification)
    return PlanRecord(namespace="", name="standard", uid="p1", resource_version="1", deleting=deleting, specification=specification)


def entitled(voices: frozenset[str] | None = None) -> Entitlement:
    return Entitlement("support", "hello", "u1", "standard", frozenset((CHAT,)), frozenset((HEARING,)), frozenset((SPEECH,)), voices)
