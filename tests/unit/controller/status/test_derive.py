"""The status that a person reads, case by case."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mistral_voice.contract.vocabulary import SecretErrorCode
from mistral_voice.controller.check import check
from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.thresholds import Health, after
from mistral_voice.controller.input import (
    DeploymentCondition,
    DeploymentState,
    Input,
    PodTrouble,
    Refusal,
    ResolvedCredential,
    TakenName,
    TokenState,
    UnresolvedCredential,
)
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.status import derive, next_change, same_meaning
from tests.unit.controller.given import MISSING, NOW, RUNNING, health, known, probed


def status_of(state: Input) -> dict[str, Any]:
    return derive(state, check(state))


def conditions(state: Input) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["status"], condition["reason"]) for condition in status_of(state)["conditions"]}


def after_this(state: Input, at: datetime = NOW, **changes: Any) -> Input:
    """Return a later state whose former status is the one of `state`."""
    return replace(state, previous=parse_status(status_of(state)), now=at, **changes)


def test_integration_with_all_well() -> None:
    status = status_of(known())
    assert conditions(known()) == {
        "ConfigValid": ("True", "Valid"),
        "CredentialResolved": ("True", "Resolved"),
        "Healthy": ("True", "Connected"),
        "GatewayAvailable": ("True", "PodsReady"),
        "Ready": ("True", "Ready"),
        "Reconciling": ("False", "AsExpected"),
        "Stalled": ("False", "AsExpected"),
    }
    del status["conditions"]
    assert status == {
        "observedGeneration": 1,
        "connection": {"status": "connected", "checkedAt": "2026-11-22T14:30:07Z", "latencyMs": 87},
        "issues": [],
        "credential": {"source": "Secret/mistral", "validationStatus": "valid", "lastValidatedAt": "2026-11-22T14:00:00Z"},
        "gateway": {
            "endpoints": [{"type": "Internal", "url": "ws://support-voice.team-a.svc.cluster.local:8080/v1/realtime"}],
            "tokenSecretName": "support-voice-token",
            "replicas": 1,
            "readyReplicas": 1,
        },
        "selector": "app.kubernetes.io/instance=support,app.kubernetes.io/name=mistral-voice-gateway",
    }


def test_first_visit_says_what_is_under_way() -> None:
    seen = conditions(known(deployment=None, health=Health()))
    assert seen["Healthy"] == ("Unknown", "NotChecked")
    assert seen["GatewayAvailable"] == ("False", "NotDeployed")
    assert seen["Ready"] == ("False", "NotDeployed")
    assert seen["Reconciling"] == ("True", "RollingOut")


def test_wrong_key_stalls_at_once_and_heals_by_itself() -> None:
    wrong = known(health=health(ProbeCode.CONNECTED, ProbeCode.UNAUTHORIZED))
    seen, status = conditions(wrong), status_of(wrong)
    assert (seen["Healthy"], seen["Ready"], seen["Stalled"]) == (
        ("False", "Unauthorized"),
        ("False", "Unauthorized"),
        ("True", "Unauthorized"),
    )
    assert seen["GatewayAvailable"] == ("True", "PodsReady")
    assert status["connection"]["status"] == "error"
    assert status["connection"]["errorCode"] == "Unauthorized"
    assert status["credential"]["validationStatus"] == "invalid"
    healed = after_this(wrong, health=health(ProbeCode.CONNECTED, ProbeCode.UNAUTHORIZED, ProbeCode.CONNECTED))
    assert conditions(healed) == conditions(known())


def test_trouble_at_mistral_is_neither_stalled_nor_told_before_its_threshold() -> None:
    assert conditions(known(health=health(ProbeCode.CONNECTED, *[ProbeCode.UPSTREAM_ERROR] * 2)))["Ready"] == ("True", "Ready")
    troubled = known(health=health(ProbeCode.CONNECTED, *[ProbeCode.UPSTREAM_ERROR] * 3))
    seen = conditions(troubled)
    assert (seen["Ready"], seen["Stalled"]) == (("False", "UpstreamError"), ("False", "AsExpected"))
    assert status_of(troubled)["connection"]["consecutiveFailures"] == 3
    assert status_of(troubled)["credential"]["validationStatus"] == "valid"


def test_rate_limit_keeps_a_healthy_integration_ready_with_a_warning() -> None:
    limited = known(health=health(ProbeCode.CONNECTED, ProbeCode.RATE_LIMITED))
    assert conditions(limited)["Ready"] == ("True", "Ready")
    assert [issue["code"] for issue in status_of(limited)["issues"]] == ["RateLimited"]


def test_missing_secret_stalls_after_five_minutes() -> None:
    begun = known(credential=MISSING, deployment=None, health=Health())
    assert conditions(begun)["Reconciling"] == ("True", "SecretNotFound")
    assert conditions(begun)["Stalled"] == ("False", "AsExpected")
    assert next_change(begun) == NOW + timedelta(minutes=5)
    just_before = after_this(begun, at=NOW + timedelta(seconds=299))
    assert conditions(just_before)["Stalled"] == ("False", "AsExpected")
    assert next_change(just_before) == NOW + timedelta(minutes=5)
    late = after_this(begun, at=NOW + timedelta(minutes=5))
    seen = conditions(late)
    assert (seen["Stalled"], seen["Reconciling"]) == (("True", "SecretNotFound"), ("False", "AsExpected"))
    assert seen["Ready"] == ("False", "SecretNotFound")
    assert next_change(late) is None


def test_missing_secret_disconnects_and_leaves_a_running_gateway_available() -> None:
    gone = after_this(known(), credential=MISSING)
    seen, status = conditions(gone), status_of(gone)
    assert seen["GatewayAvailable"] == ("True", "PodsReady")
    assert seen["Healthy"] == ("Unknown", "CredentialUnresolved")
    assert status["connection"]["status"] == "disconnected"
    assert status["connection"]["errorCode"] == "NOT_FOUND"
    assert status["credential"]["source"] == "Secret/mistral"
    assert [issue["code"] for issue in status["issues"]] == ["SecretNotFound", "CONNECTION_NOT_READY"]


def test_secret_that_the_api_server_keeps_back_for_a_moment_is_unknown_and_never_stalls() -> None:
    unreadable = UnresolvedCredential(SecretErrorCode.UNKNOWN, Reason.SECRET_UNREADABLE, "It could not be read.", "Wait.")
    later = after_this(known(credential=unreadable), at=NOW + timedelta(hours=1))
    assert conditions(later)["CredentialResolved"] == ("Unknown", "SecretUnreadable")
    assert conditions(later)["Stalled"] == ("False", "AsExpected")


def test_invalid_change_leaves_the_last_good_gateway_and_says_so() -> None:
    invalid = after_this(known(), generation=2, spec=None, spec_issues=(check(known(spec={"endpoint": "mars"}))[0].issue,))
    seen, status = conditions(invalid), status_of(invalid)
    assert seen["ConfigValid"] == ("False", "InvalidSpec")
    assert seen["Stalled"] == ("True", "InvalidSpec")
    assert seen["Ready"] == ("False", "InvalidSpec")
    assert seen["GatewayAvailable"] == ("True", "PodsReady")
    assert seen["CredentialResolved"] == ("True", "Resolved")
    assert status["connection"]["status"] == "connected"
    assert status["gateway"] == status_of(known())["gateway"]
    assert status["credential"] == status_of(known())["credential"]
    generations = {condition["type"]: condition["observedGeneration"] for condition in status["conditions"]}
    assert (generations["ConfigValid"], generations["Healthy"]) == (2, 1)
    assert status["observedGeneration"] == 2


def test_invalid_change_that_can_be_parsed_keeps_the_last_good_addresses() -> None:
    changed = known(generation=2).valid_spec.model_copy(update={"endpoint": "mars"})
    invalid = after_this(known(), generation=2, spec=changed)
    assert conditions(invalid)["ConfigValid"] == ("False", "UnknownEndpoint")
    assert status_of(invalid)["gateway"] == status_of(known())["gateway"]


def test_managed_mode_has_no_children_and_says_that_it_is_not_installed() -> None:
    managed = known(
        spec={"mode": "managed", "planRef": {"name": "standard"}, "secretRef": None},
        credential=None,
        token=None,
        deployment=None,
        health=Health(),
    )
    seen, status = conditions(managed), status_of(managed)
    assert seen["ConfigValid"] == seen["Ready"] == ("False", "ManagedModeNotInstalled")
    assert seen["Stalled"] == ("True", "ManagedModeNotInstalled")
    assert seen["GatewayAvailable"] == ("False", "NotDeployed")
    assert status["connection"] == {"status": "unknown"}
    assert not {"gateway", "credential", "selector"} & set(status)


def suspended(deployment: DeploymentState) -> Input:
    return known(spec={"suspend": True}, deployment=deployment)


def test_suspended_integration_drains_then_rests() -> None:
    draining = conditions(suspended(replace(RUNNING, wanted_replicas=0)))
    assert draining["Reconciling"] == ("True", "Draining")
    at_rest = conditions(suspended(replace(RUNNING, wanted_replicas=0, replicas=0, updated_replicas=0, ready_replicas=0)))
    assert at_rest["Reconciling"] == at_rest["Stalled"] == ("False", "AsExpected")
    assert at_rest["GatewayAvailable"] == at_rest["Ready"] == ("False", "Suspended")
    assert at_rest["Healthy"] == ("True", "Connected")


def test_rollout_reconciles_while_the_former_pods_serve() -> None:
    seen = conditions(known(deployment=replace(RUNNING, generation=2, replicas=2, updated_replicas=1)))
    assert seen["Ready"] == ("True", "Ready")
    assert seen["Reconciling"] == ("True", "RollingOut")


STUCK = PodTrouble(Reason.IMAGE_PULL_FAILED, "mistral-voice:9: not found")
LATE = (DeploymentCondition("Progressing", "False", "ProgressDeadlineExceeded", "it has timed out"),)


def test_stuck_rollout_says_why_in_the_words_of_the_pod() -> None:
    held = conditions(known(deployment=replace(RUNNING, replicas=2, updated_replicas=1, generation=2), trouble=STUCK))
    assert held["Ready"] == ("True", "Ready")
    assert held["Reconciling"] == ("True", "ImagePullFailed")
    none_ready = replace(RUNNING, ready_replicas=0)
    assert conditions(known(deployment=none_ready, trouble=STUCK))["Ready"] == ("False", "ImagePullFailed")
    assert conditions(known(deployment=none_ready, trouble=STUCK))["Stalled"] == ("False", "AsExpected")
    given_up = replace(none_ready, conditions=LATE)
    assert conditions(known(deployment=given_up, trouble=STUCK))["Stalled"] == ("True", "ImagePullFailed")
    assert conditions(known(deployment=given_up))["Stalled"] == ("True", "NotReadyInTime")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "support-voice-1" is forbidden: exceeded quota: small, requested: pods=1', "QuotaExceeded"),
        ('pods "support-voice-1" is forbidden: failed quota: q: must specify limits.cpu', "QuotaExceeded"),
        ('pods "support-voice-1" is forbidden: violates PodSecurity "restricted:latest"', "AdmissionDenied"),
        ('admission webhook "policy.example" denied the request: no', "AdmissionDenied"),
        ("Internal error occurred", "PodsNotCreated"),
    ],
)
def test_pods_that_may_not_be_created(message: str, reason: str) -> None:
    failure = DeploymentCondition("ReplicaFailure", "True", "FailedCreate", message)
    state = known(deployment=replace(RUNNING, ready_replicas=0, replicas=0, updated_replicas=0, conditions=(failure,)))
    assert conditions(state)["GatewayAvailable"] == ("False", reason)
    assert "support-voice-1" not in str(status_of(state)["conditions"])


def test_scaled_to_zero_is_no_trouble() -> None:
    rest = DeploymentState(generation=1, observed_generation=1, wanted_replicas=0)
    seen = conditions(known(spec={"gateway": {"replicas": 0}}, deployment=rest))
    assert seen["Ready"] == ("False", "ScaledToZero")
    assert seen["Reconciling"] == seen["Stalled"] == ("False", "AsExpected")


def test_what_waits_says_for_what() -> None:
    assert conditions(known(rollout_allowed=False))["Reconciling"] == ("True", "RolloutPending")
    assert conditions(known(taken=(TakenName("Service", "s", leaving=True),)))["Reconciling"] == ("True", "ChildrenTerminating")
    passing = Refusal("Service", "s", "exceeded quota", passing=True)
    assert conditions(known(refused=passing))["Reconciling"] == ("True", "ApplyFailed")


def test_addresses_outside_are_listed_after_the_one_inside() -> None:
    expose = {
        "httpRoute": {"parentRefs": [{"name": "edge"}], "hostnames": ["a.example.com", "*.example.com"]},
        "ingress": {"host": "b.example.com"},
    }
    state = known(spec={"gateway": {"expose": expose, "tls": {"secretRef": {"name": "cert"}}}})
    assert [endpoint["url"] for endpoint in status_of(state)["gateway"]["endpoints"]] == [
        "wss://support-voice.team-a.svc.cluster.local:8080/v1/realtime",
        "wss://a.example.com/v1/realtime",
        "ws://b.example.com/v1/realtime",
    ]


def test_changed_key_is_dated() -> None:
    rotated = known(credential=ResolvedCredential(digest="d2", rotated_at=NOW))
    assert status_of(rotated)["credential"]["lastRotatedAt"] == "2026-11-22T14:30:07Z"
    later = after_this(rotated, at=NOW + timedelta(hours=1), credential=ResolvedCredential(digest="d2"))
    assert status_of(later)["credential"]["lastRotatedAt"] == "2026-11-22T14:30:07Z"


def test_validation_that_is_a_day_old_counts_for_nothing() -> None:
    restored = replace(health(ProbeCode.CONNECTED), last=None, key_accepted_at=None)
    fresh = after_this(known(), at=NOW + timedelta(hours=23), health=restored)
    stale = after_this(known(), at=NOW + timedelta(hours=25), health=restored)
    assert status_of(fresh)["credential"]["validationStatus"] == "valid"
    assert status_of(stale)["credential"]["validationStatus"] == "unknown"


def test_token_overlap_ends_in_time() -> None:
    rotated = TokenState(ours=True, has_token=True, has_previous_token=True, rotated_at=NOW - timedelta(hours=1))
    assert next_change(known(token=rotated)) == NOW + timedelta(hours=23)


def test_restart_writes_nothing() -> None:
    before = known(health=health(ProbeCode.CONNECTED, ProbeCode.UPSTREAM_ERROR))
    reborn = after_this(before, at=NOW + timedelta(hours=3), credential=ResolvedCredential(), health=replace(before.health, last=None))
    assert same_meaning(status_of(before), status_of(reborn), reborn.now)


def test_figures_alone_are_written_every_six_hours() -> None:
    def checked_after(hours: float) -> bool:
        at = NOW + timedelta(hours=hours)
        later = after_this(known(), at=at, health=after(health(ProbeCode.CONNECTED), probed(ProbeCode.CONNECTED, at=at, latency_ms=3)))
        return same_meaning(status_of(known()), status_of(later), at)

    assert checked_after(5.9)
    assert not checked_after(6)


def test_meaning_is_written_at_once() -> None:
    assert not same_meaning(None, status_of(known()), NOW)
    assert not same_meaning(status_of(known()), status_of(known(generation=2)), NOW)
    assert not same_meaning(status_of(known()), status_of(known(health=health(ProbeCode.UNAUTHORIZED))), NOW)
