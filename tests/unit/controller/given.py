"""What tests of the pure core begin with: an integration with all well, of which a test changes what it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import trustme

from mistral_voice.contract.v1alpha1.integration import parse_spec
from mistral_voice.contract.v1alpha1.plan import PlanSpecification, parse_plan
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.contract.vocabulary import SecretErrorCode
from mistral_voice.controller.health.result import ProbeCode, ProbeResult
from mistral_voice.controller.health.thresholds import Health, after
from mistral_voice.controller.input import DeploymentState, Input, ResolvedCredential, TokenState, UnresolvedCredential
from mistral_voice.controller.managed.facts import PlanFacts, Platform, PoolFacts
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.settings import BrokerSettings, Endpoint, ManagedModeSettings, OperatorFile
from tests.unit.contract.v1alpha1.plans import plan_spec

NOW = datetime(2026, 11, 22, 14, 30, 7, tzinfo=UTC)
NAMESPACE, NAME, UID = "team-a", "support", "0b1f0c9e-0f7a-4c57-9d5c-4a8a1f3f2d11"
MINIMAL = {"mode": "byok", "secretRef": {"name": "mistral"}}


def operator_file(**changes: Any) -> OperatorFile:
    return OperatorFile(image="registry.example/mistral-voice:1.0.0").model_copy(update=changes)


def spec(**changes: Any) -> IntegrationSpecification:
    """Return the smallest byok spec with these wire fields set."""
    parsed = parse_spec({**MINIMAL, **changes})
    assert isinstance(parsed, IntegrationSpecification), parsed
    return parsed


def probed(code: ProbeCode, at: datetime = NOW, **rest: Any) -> ProbeResult:
    accepted = True if code is ProbeCode.CONNECTED else None
    return ProbeResult(**{"code": code, "message": f"It was {code}.", "checked_at": at, "latency_ms": 87, "key_accepted": accepted, **rest})


def health(*codes: ProbeCode) -> Health:
    """Return the health after checks with these outcomes."""
    state = Health()
    for code in codes:
        state = after(state, probed(code))
    return state


RUNNING = DeploymentState(generation=1, observed_generation=1, wanted_replicas=1, replicas=1, updated_replicas=1, ready_replicas=1)
MISSING = UnresolvedCredential(
    SecretErrorCode.NOT_FOUND, Reason.SECRET_NOT_FOUND, "The Secret 'mistral' does not exist in this namespace.", "Create it."
)


def known(**changes: Any) -> Input:
    """Return an integration with all well; `spec` may be given as wire fields on top of the smallest."""
    if isinstance(changes.get("spec"), dict):
        changes["spec"] = spec(**changes["spec"])
    if isinstance(changes.get("previous"), dict):
        changes["previous"] = parse_status(changes["previous"])
    well = Input(
        namespace=NAMESPACE,
        name=NAME,
        uid=UID,
        generation=1,
        operator=operator_file(),
        now=NOW,
        spec=spec(),
        credential=ResolvedCredential(digest="d1"),
        token=TokenState(ours=True, has_token=True),
        deployment=RUNNING,
        health=health(ProbeCode.CONNECTED),
    )
    return replace(well, **changes)


MANAGED_MODE = ManagedModeSettings(
    broker=BrokerSettings(
        url="https://mistral-voice-broker.mistral-voice.svc:8443",
        namespace="mistral-voice",
        pod_labels={"app.kubernetes.io/component": "broker"},
    )
)
"""Managed mode as an administrator installs it."""
CLAIM: dict[str, Any] = {"mode": "managed", "planRef": {"name": "standard"}, "secretRef": None}


def plan(**changes: Any) -> PlanSpecification:
    """Return a plan that is offered to the namespace, with these wire fields set."""
    offered = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    parsed = parse_plan(plan_spec(**(offered | changes)))
    assert isinstance(parsed, PlanSpecification), parsed
    return parsed


def platform(offered: PlanSpecification | None = None, *, active_keys: int | None = 1, **changes: Any) -> Platform:
    """Return a platform with all well."""
    well = Platform(
        plan=PlanFacts("standard", offered or plan()),
        pool=PoolFacts("main", active_keys),
        namespace_labels={"kubernetes.io/metadata.name": NAMESPACE},
        ca_bundle=AUTHORITY,
    )
    return replace(well, **changes)


def claiming(around: Platform | None = None, **changes: Any) -> Input:
    """Return a managed integration with all well; `spec` may be given as wire fields on top of the claim."""
    if isinstance(changes.get("spec", {}), dict):
        changes["spec"] = spec(**(CLAIM | changes.get("spec", {})))
    well = {"operator": operator_file(managed_mode=MANAGED_MODE), "credential": None, "health": Health(), "platform": around or platform()}
    return known(**(well | changes))


AUTHORITY = trustme.CA().cert_pem.bytes().decode()
ENDPOINT_WITH_CA = Endpoint(name="default", url="https://mistral.example", ca_bundle=AUTHORITY)
