"""What a managed integration is told about its plan, and what it gets."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as generated

from mistral_voice.contract import gateway_config, names
from mistral_voice.contract.lease import BROKER_AUDIENCE
from mistral_voice.controller.build import Child, Desired, build
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.events import events_for
from mistral_voice.controller.input import Input
from mistral_voice.controller.managed.facts import PlanFacts, Platform
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.status import derive
from mistral_voice.kube.resources import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, SECRET, Resource
from tests.unit.controller.given import AUTHORITY, MANAGED_MODE, claiming, known, plan, platform
from tests.unit.controller.status.inputs import inputs

thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def codes(state: Input) -> set[str]:
    return {finding.issue.code for finding in check(state)}


def conditions(state: Input) -> dict[str, tuple[str, str]]:
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in derive(state, check(state))["conditions"]}


def built(state: Input) -> Desired:
    return build(state, valid=valid(check(state)))


def child(state: Input, resource: Resource) -> dict[str, Any]:
    return next(wish.body for wish in built(state).objects if wish.resource == resource)


def test_a_claim_that_is_granted_is_ready_with_the_platforms_key() -> None:
    state = claiming()
    assert check(state) == ()
    assert conditions(state) == {
        "ConfigValid": ("True", "Valid"),
        "CredentialResolved": ("True", "ProvidedByPlatform"),
        "Healthy": ("True", "Connected"),
        "GatewayAvailable": ("True", "PodsReady"),
        "Ready": ("True", "Ready"),
        "Reconciling": ("False", "AsExpected"),
        "Stalled": ("False", "AsExpected"),
    }
    status = derive(state, ())
    assert status["credential"] == {"source": "platform", "validationStatus": "valid"}
    assert status["connection"] == {"status": "connected"}
    assert status["gateway"]["endpoints"][0]["type"] == "Internal"


UNGRANTED: list[tuple[Platform, str]] = [
    (platform(plan=None, pool=None), "PlanNotFound"),
    (platform(plan=PlanFacts("standard", None, "spec.limits: Field required")), "PlanInvalid"),
    (platform(plan(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "another"}})), "PlanNotAllowed"),
    (platform(namespace_labels={"kubernetes.io/metadata.name": "another"}), "PlanNotAllowed"),
    (platform(plan(models={"chat": ["mistral-large-latest"]})), "ModelNotInPlan"),
    (platform(plan(voices=["voice_1"])), "VoiceNotInPlan"),
]


@pytest.mark.parametrize(("around", "reason"), UNGRANTED, ids=[reason for _, reason in UNGRANTED])
def test_a_claim_that_is_denied_is_stalled_and_changes_nothing(around: Platform, reason: str) -> None:
    state = claiming(around)
    seen = conditions(state)
    assert seen["ConfigValid"] == seen["Ready"] == ("False", reason)
    assert seen["Stalled"] == ("True", reason)
    assert reason in codes(state)
    assert all(finding.issue.suggestion for finding in check(state))
    assert built(state).hold
    new = replace(state, deployment=None)
    assert built(new).hold
    assert built(new).objects == ()


@pytest.mark.parametrize(
    ("around", "reason", "connection"),
    [
        (platform(plan(stopPolicy="Hold")), "PlanHeld", "disconnected"),
        (platform(plan(stopPolicy="HoldAndDrain")), "PlanHeld", "disconnected"),
        (platform(pool=None), "PoolNotFound", "error"),
        (platform(active_keys=0), "NoActiveKey", "error"),
    ],
)
def test_what_the_platform_lacks_stalls_nothing_and_leaves_the_gateway(around: Platform, reason: str, connection: str) -> None:
    state = claiming(around)
    seen, status = conditions(state), derive(state, check(state))
    assert seen["Healthy"] == seen["Ready"] == ("False", reason)
    assert seen["Stalled"] == ("False", "AsExpected"), "it is not the tenant who can change it"
    assert seen["GatewayAvailable"] == ("True", "PodsReady")
    assert (status["connection"]["status"], status["connection"]["errorCode"]) == (connection, reason)
    assert {reason, "CONNECTION_NOT_READY"} <= codes(state)
    assert not built(state).hold


def test_before_the_control_plane_has_told_of_its_keys_nothing_is_known() -> None:
    state = claiming(platform(active_keys=None))
    assert conditions(state)["Healthy"] == ("Unknown", "NotChecked")
    assert conditions(state)["Reconciling"] == ("True", "Checking")
    assert codes(state) == {"CONNECTION_STATUS_UNKNOWN"}


def test_what_the_policy_allows_beyond_the_plan_is_warned_of() -> None:
    policy = {"allowedModels": ["mistral-medium-latest", "mistral-large-latest"], "allowedVoices": ["default", "voice_9"]}
    state = claiming(platform(plan(voices=["voice_478"])), spec={"policy": policy})
    assert codes(state) == {"AllowedModelNotInPlan", "AllowedVoiceNotInPlan"}
    assert conditions(state)["Ready"] == ("True", "Ready")
    assert all("medium" not in finding.issue.message and "voice_478" not in finding.issue.message for finding in check(state))


def test_the_gateway_is_told_of_the_broker_and_nothing_else_of_the_way() -> None:
    data = child(claiming(), CONFIG_MAP)["data"]
    config = gateway_config.decode(data["gateway.json"].encode())
    assert config.integration.mode == "managed"
    assert config.upstream.base_url == MANAGED_MODE.broker.url
    assert config.upstream.credential_file == names.CREDENTIAL_FILE
    assert config.upstream.ca_bundle_file == names.CA_BUNDLE_FILE
    assert data["ca.crt"] == AUTHORITY


def test_without_a_bundle_the_systems_authorities_vouch_for_the_broker() -> None:
    data = child(claiming(platform(ca_bundle=None)), CONFIG_MAP)["data"]
    assert set(data) == {"gateway.json"}
    assert gateway_config.decode(data["gateway.json"].encode()).upstream.ca_bundle_file is None


def test_the_plan_decides_with_which_models_sessions_hear_and_speak() -> None:
    def upstream(**models: list[str]) -> gateway_config.Upstream:
        offered = plan(models={"chat": ["mistral-medium-latest"], **models})
        return gateway_config.decode(child(claiming(platform(offered)), CONFIG_MAP)["data"]["gateway.json"].encode()).upstream

    own = upstream()
    assert (own.transcription_model, own.speech_model) == (gateway_config.TRANSCRIPTION_MODEL, gateway_config.SPEECH_MODEL)
    listed = upstream(transcription=["other", gateway_config.TRANSCRIPTION_MODEL], speech=["speaks", "sings"])
    assert (listed.transcription_model, listed.speech_model) == (gateway_config.TRANSCRIPTION_MODEL, "speaks")


def test_a_token_for_the_broker_lies_where_a_key_would_lie() -> None:
    pod = child(claiming(), DEPLOYMENT)["spec"]["template"]["spec"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "credential"]
    [source] = volume["projected"]["sources"]
    assert source == {"serviceAccountToken": {"audience": BROKER_AUDIENCE, "expirationSeconds": 600, "path": "apiKey"}}
    assert {"name": "credential", "mountPath": names.CREDENTIAL_DIRECTORY, "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert pod["automountServiceAccountToken"] is False


def test_a_managed_gateway_reaches_the_broker_and_names_and_nothing_else() -> None:
    dns, broker = child(claiming(), NETWORK_POLICY)["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert broker == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mistral-voice"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/component": "broker"}},
            }
        ],
        "ports": [{"protocol": "TCP", "port": 8443}],
    }


def test_children_are_the_same_as_with_a_key_of_ones_own() -> None:
    def kinds(state: Input) -> list[Resource]:
        return [wish.resource for wish in built(state).objects]

    assert kinds(claiming()) == kinds(known())


def test_usage_that_another_wrote_is_carried_over() -> None:
    usage = {"period": "2026-11", "sessions": 3, "seconds": 180}
    state = claiming(previous={"usage": usage})
    assert derive(state, check(state))["usage"] == usage
    assert "usage" not in derive(claiming(), ())


def _texts(children: tuple[Child, ...]) -> str:
    return " ".join(str(wish.body) for wish in children)


@generated(inputs())
@thorough
def test_no_state_whatever_lets_one_mode_fall_back_to_the_other(state: Input) -> None:
    desired = built(state)
    written = _texts(desired.objects)
    if state.managed:
        assert "https://api.mistral.ai" not in written
        assert "0.0.0.0/0" not in written
        assert "secretRef" not in written
        credentials = [wish for wish in desired.objects if wish.resource == DEPLOYMENT]
        for wish in credentials:
            [volume] = [volume for volume in wish.body["spec"]["template"]["spec"]["volumes"] if volume["name"] == "credential"]
            assert "secret" not in volume
        assert not any(wish.resource == SECRET and wish.body.get("data") for wish in desired.objects)
        assert not desired.objects or state.granted_plan is not None
    else:
        assert MANAGED_MODE.broker.url not in written
        assert BROKER_AUDIENCE not in written
    status = derive(state, check(state))
    if state.managed:
        assert status.get("credential", {"source": "platform"})["source"] == "platform"
    elif state.spec is not None:  # Of a spec that can't be read, what was known before stays.
        assert status["credential"].get("source") != "platform"


def test_usage_that_the_control_plane_tells_takes_the_place_of_what_it_told_before() -> None:
    told = {"period": "2026-12", "sessions": 1, "seconds": 60}
    state = replace(claiming(previous={"usage": {"period": "2026-11", "sessions": 3, "seconds": 180}}), usage=told)
    assert derive(state, check(state))["usage"] == told


def test_a_quota_that_is_used_up_is_told_and_leaves_the_integration_ready() -> None:
    sentence = "Plan standard allows a namespace 36 seconds of sessions a day, and there is no room for more."
    used = {"period": "2026-11-22", "sessions": 2, "seconds": 0}
    full = {**used, "exhausted": {"reason": "SecondsExhausted", "message": sentence}}
    within, beyond = replace(claiming(), usage=used), replace(claiming(), usage=full)
    assert "WithinQuota" not in conditions(claiming())
    assert conditions(within)["WithinQuota"] == ("True", "QuotaLeft")
    assert conditions(beyond)["WithinQuota"] == ("False", "SecondsExhausted")
    assert conditions(beyond)["Ready"] == ("True", "Ready")
    crossed = replace(beyond, previous=parse_status(derive(within, ())))
    [notice] = events_for(crossed, derive(crossed, ()), first=False)
    assert (notice.type, notice.reason, sentence in notice.note) == ("Warning", "SecondsExhausted", True)
    kept = replace(claiming(), previous=parse_status(derive(crossed, ())))
    assert conditions(kept)["WithinQuota"] == ("False", "SecondsExhausted"), "as long as nothing else is told"
    assert events_for(kept, derive(kept, ()), first=False) == []
    again = replace(kept, usage=used)
    assert [notice.reason for notice in events_for(again, derive(again, ()), first=False)] == ["WithinQuotaAgain"]


@pytest.mark.parametrize("exhausted", ["yes", {}, {"reason": "Mine"}, None])
def test_usage_that_somebody_wrote_by_hand_does_no_harm(exhausted: object) -> None:
    state = claiming(previous={"usage": {"period": "2026-11", "exhausted": exhausted}})
    assert conditions(state)["WithinQuota"] == ("True", "QuotaLeft")
