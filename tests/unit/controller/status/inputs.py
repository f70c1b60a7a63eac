"""Any state that an integration can be in, for tests that look at all of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from mistral_voice.contract.vocabulary import SecretErrorCode, Severity, ValidationIssue
from mistral_voice.controller.check import check
from mistral_voice.controller.credential import assess
from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.thresholds import Health
from mistral_voice.controller.input import (
    CredentialState,
    DeploymentCondition,
    DeploymentState,
    Input,
    PodTrouble,
    Refusal,
    ResolvedCredential,
    TakenName,
    TokenState,
)
from mistral_voice.controller.managed.facts import PlanFacts
from mistral_voice.controller.previous import PreviousStatus, parse_status
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.status import derive
from tests.unit.controller.given import CLAIM, MANAGED_MODE, NOW, health, known, operator_file, plan, platform, spec
from tests.unit.controller.test_credential import REFERENCE, secret

LONG = "a long sentence of somebody else " * 400

SPECS = st.sampled_from(
    [
        spec(),
        spec(suspend=True),
        spec(endpoint="mars"),
        spec(secretRef={"name": "n" * 253, "key": "k" * 253}),
        spec(gateway={"replicas": 0}),
        spec(gateway={"replicas": 3, "autoscaling": {"maxReplicas": 4}, "drainTimeoutSeconds": 3600}),
        spec(gateway={"auth": {"tokenSecretRef": {"name": "t" * 253}}, "tls": {"secretRef": {"name": "cert"}}}),
        spec(
            gateway={
                "expose": {
                    "httpRoute": {"parentRefs": [{"name": "g"}], "hostnames": [f"{n}.example.com" for n in range(16)]},
                    "ingress": {"host": "*.example.com"},
                }
            }
        ),
        spec(**CLAIM),
        spec(**CLAIM, suspend=True),
        spec(**CLAIM, policy={"allowedModels": ["other"], "allowedVoices": ["default", "voice_9"]}),
        None,
    ]
)
DIGEST = "d1"
ANSWERS: list[Any] = [
    SecretErrorCode.NOT_FOUND,
    SecretErrorCode.FORBIDDEN,
    SecretErrorCode.UNKNOWN,
    secret(None),
    secret(b""),
    secret(b"  "),
    secret(b"a\nb"),
    secret(b"a b"),
    secret(b"a" * 5000),
    secret(b"abc", "kubernetes.io/tls"),
    secret(b"abc\n"),
    secret(b"abc"),
]
CREDENTIALS: st.SearchStrategy[CredentialState] = st.sampled_from(
    [assess(REFERENCE, answer, lambda _: DIGEST)[0] for answer in ANSWERS]
) | st.just(ResolvedCredential(digest="d2", rotated_at=NOW))
HEALTHS = st.lists(st.sampled_from(list(ProbeCode)), max_size=6).map(lambda codes: health(*codes)) | st.just(Health())
DEPLOYMENTS = st.none() | st.builds(
    DeploymentState,
    generation=st.integers(1, 3),
    observed_generation=st.integers(0, 3),
    wanted_replicas=st.integers(0, 3),
    replicas_owned_by_other=st.booleans(),
    replicas=st.integers(0, 4),
    updated_replicas=st.integers(0, 4),
    ready_replicas=st.integers(0, 4),
    terminating_replicas=st.integers(0, 1),
    conditions=st.sampled_from(
        [
            (),
            (DeploymentCondition("Progressing", "False", "ProgressDeadlineExceeded", LONG),),
            (DeploymentCondition("ReplicaFailure", "True", "FailedCreate", 'pods "x" is forbidden: exceeded quota: q'),),
            (DeploymentCondition("ReplicaFailure", "True", "FailedCreate", "violates PodSecurity"),),
            (DeploymentCondition("ReplicaFailure", "True", "FailedCreate", LONG),),
        ]
    ),
)
STUCK = [Reason.IMAGE_PULL_FAILED, Reason.CRASH_LOOP, Reason.CONTAINER_CONFIG_ERROR, Reason.UNSCHEDULABLE]
TROUBLES = st.none() | st.builds(PodTrouble, st.sampled_from(STUCK), st.sampled_from(["It is so.", "", LONG]))
ISSUE = ValidationIssue("InvalidSpec", Severity.ERROR, "spec.config.model", "It is blank.")
MANY = tuple(ValidationIssue("InvalidSpec", Severity.ERROR, f"spec.{'x' * 300}[{number}]", LONG) for number in range(40))
ISSUES = st.sampled_from([(ISSUE,), MANY])


PLATFORMS = st.builds(
    platform,
    st.sampled_from(
        [
            plan(),
            plan(stopPolicy="Hold"),
            plan(stopPolicy="HoldAndDrain"),
            plan(models={"chat": [f"m{number}".ljust(128, "m") for number in range(32)]}),
            plan(voices=["voice_478"]),
            plan(voices=[f"voice_{number}" for number in range(64)]),
            plan(models={"chat": ["mistral-medium-latest"], "transcription": ["hears"], "speech": ["speaks"]}),
            plan(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "another"}}),
        ]
    ),
    active_keys=st.sampled_from([None, 0, 1, 7]),
) | st.sampled_from(
    [
        platform(pool=None),
        platform(plan=None, pool=None),
        platform(plan=PlanFacts("standard", None, LONG), pool=None),
        platform(namespace_labels={}),
        platform(ca_bundle=None),
    ]
)


@st.composite
def first_inputs(draw: st.DrawFn) -> Input:
    """Any integration without a status."""
    wanted = draw(SPECS)
    managed = wanted is not None and wanted.secret_ref is None
    around = draw(st.none() | PLATFORMS) if managed else None
    return known(
        operator=operator_file(managed_mode=None if around is None else MANAGED_MODE),
        platform=around,
        spec=wanted,
        spec_issues=draw(ISSUES) if wanted is None else (),
        generation=draw(st.integers(1, 5)),
        credential=None if wanted is None or managed else draw(CREDENTIALS),
        token=draw(st.sampled_from([None, TokenState(ours=True, has_token=True)])),
        deployment=None if managed and around is None else draw(DEPLOYMENTS),
        trouble=draw(TROUBLES),
        taken=draw(st.sampled_from([(), (TakenName("Service", "s", LONG),), (TakenName("Service", "s", leaving=True),)])),
        refused=draw(st.sampled_from([None, Refusal("Deployment", "d", LONG), Refusal("Service", "s", "no", passing=True)])),
        health=Health() if managed else draw(HEALTHS),
        rollout_allowed=draw(st.booleans()),
        gateway_api_installed=draw(st.booleans()),
        absent_secrets=draw(st.sampled_from([frozenset(), frozenset({"cert"})])),
    )


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
PARTS = ["conditions", "connection", "credential", "gateway", "issues", "observedGeneration"]
GARBAGE = st.dictionaries(st.sampled_from(PARTS), JSON, max_size=6).map(parse_status)


@st.composite
def former_statuses(draw: st.DrawFn) -> PreviousStatus:
    """Any status that a former visit wrote, up to a day ago."""
    before = draw(first_inputs())
    before = replace(before, now=NOW - timedelta(seconds=draw(st.integers(0, 86400))))
    return parse_status(derive(before, check(before)))


@st.composite
def inputs(draw: st.DrawFn) -> Input:
    """Any integration with any status."""
    return replace(draw(first_inputs()), previous=draw(st.just(PreviousStatus()) | former_statuses() | GARBAGE))
