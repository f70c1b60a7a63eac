"""Each check finds what it is for, says where, and says what to do."""

from dataclasses import replace
from typing import Any

import pytest

from mistral_voice.contract.v1alpha1.integration import parse_spec
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.contract.vocabulary import Severity, ValidationIssue
from mistral_voice.controller.check import Finding, check
from mistral_voice.controller.health.result import ProbeCode, ProbeWarning, WarningCode
from mistral_voice.controller.health.thresholds import Health, after
from mistral_voice.controller.input import Input, PodTrouble, Refusal, ResolvedCredential, TakenName, TokenState
from mistral_voice.controller.reasons import ConditionType, Reason
from tests.unit.controller.given import MISSING, RUNNING, health, known, operator_file, probed, spec


def found(state: Input, code: str) -> Finding:
    return next(finding for finding in check(state) if finding.issue.code == code)


def codes(state: Input) -> list[str]:
    return [finding.issue.code for finding in check(state)]


def gateway(**fields: Any) -> Input:
    return known(spec={"gateway": fields})


def test_nothing_is_found_where_all_is_well() -> None:
    assert check(known()) == ()


def test_spec_that_cannot_be_parsed_gives_each_fault_its_place() -> None:
    faults = parse_spec({"mode": "byok", "config": {"maxSessionDurationSeconds": 0}, "secretRef": {}})
    assert not isinstance(faults, IntegrationSpecification)
    state = known(spec=None, spec_issues=tuple(faults))
    assert {finding.issue.path for finding in check(state) if finding.invalidates} == {
        "spec.config.maxSessionDurationSeconds",
        "spec.secretRef.name",
    }


@pytest.mark.parametrize("name", ["1st", "Big", "a.b", "a" * 41, "ends-"])
def test_name_after_which_no_service_can_be_called(name: str) -> None:
    assert found(known(name=name), "InvalidName").invalidates


def test_managed_mode_is_not_installed_and_says_so_in_contractspecs_word() -> None:
    state = known(spec={"mode": "managed", "planRef": {"name": "standard"}, "secretRef": None}, credential=None, deployment=None)
    finding = found(state, "UNSUPPORTED_OWNERSHIP_MODE")
    assert (finding.reason, finding.invalidates) == (Reason.MANAGED_MODE_NOT_INSTALLED, True)
    assert codes(state) == ["UNSUPPORTED_OWNERSHIP_MODE"]


def test_unknown_endpoint_names_those_that_exist() -> None:
    finding = found(known(spec={"endpoint": "mars"}), "UnknownEndpoint")
    assert "'mars'" in finding.issue.message
    assert "default" in finding.issue.message


def test_no_endpoint_at_all() -> None:
    assert "none" in found(known(operator=operator_file(endpoints=())), "UnknownEndpoint").issue.message


TEMPLATES: list[tuple[dict[str, Any], str]] = [
    ({"labels": {"not a key": "x"}}, ".labels"),
    ({"labels": {"a/b/c": "x"}}, ".labels"),
    ({"labels": {"team": "white space"}}, ".labels"),
    ({"annotations": {"": "x"}}, ".annotations"),
    ({"nodeSelector": {"disk": "-ssd"}}, ".nodeSelector"),
    ({"tolerations": [{"operator": "Equal", "value": "x"}]}, ".tolerations[0].operator"),
    ({"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]}, ".tolerations[0].value"),
    ({"tolerations": [{"key": "a b", "operator": "Exists"}]}, ".tolerations[0].key"),
    ({"tolerations": [{"key": "a", "value": "!"}]}, ".tolerations[0].value"),
    ({"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]}, ".tolerations[0].effect"),
    (
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}] * 2},
        ".topologySpreadConstraints[1]",
    ),
    (
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}]},
        ".topologySpreadConstraints[0].minDomains",
    ),
    (
        {
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]},
                }
            ]
        },
        ".topologySpreadConstraints[0].labelSelector.matchExpressions[0].values",
    ),
    (
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["many"]}]}]
                    }
                }
            }
        },
        ".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values",
    ),
    (
        {
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 1, "preference": {"matchFields": [{"key": "metadata.uid", "operator": "In", "values": ["n"]}]}}
                    ]
                }
            }
        },
        ".affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchFields[0].key",
    ),
    (
        {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "no key"}]}}},
        ".affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey",
    ),
    (
        {
            "affinity": {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 5, "podAffinityTerm": {"topologyKey": "zone", "namespaces": ["a.b"]}}
                    ]
                }
            }
        },
        ".affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.namespaces[0]",
    ),
]


@pytest.mark.parametrize(("template", "path"), TEMPLATES, ids=[path for _, path in TEMPLATES])
def test_template_that_the_api_server_would_refuse(template: dict[str, Any], path: str) -> None:
    finding = found(gateway(template=template), "InvalidPodTemplate")
    assert finding.invalidates
    assert finding.issue.path == f"spec.gateway.template{path}"


def test_request_above_its_limit_also_where_the_default_is_the_request() -> None:
    above = gateway(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1024Mi"}})
    assert found(above, "InvalidResources").issue.path == "spec.gateway.resources.requests.memory"
    assert codes(gateway(resources={"limits": {"memory": "64Mi", "cpu": 1}})) == []


@pytest.mark.parametrize(
    ("expose", "path"),
    [
        ({"ingress": {"host": "10.0.0.1"}}, "ingress.host"),
        ({"httpRoute": {"parentRefs": [{"name": "a"}], "hostnames": [f"{'x' * 64}.example"]}}, "httpRoute.hostnames[0]"),
        ({"httpRoute": {"parentRefs": [{"name": "b"}, {"name": "a"}, {"name": "a"}]}}, "httpRoute.parentRefs[1]"),
        ({"httpRoute": {"parentRefs": [{"name": "a", "sectionName": "x"}, {"name": "a", "port": 443}]}}, "httpRoute.parentRefs[1]"),
        ({"httpRoute": {"parentRefs": [{"name": "a", "sectionName": "x"}] * 2}}, "httpRoute.parentRefs[0]"),
    ],
)
def test_exposure_that_the_api_server_would_refuse(expose: dict[str, Any], path: str) -> None:
    finding = found(gateway(expose=expose), "InvalidExposure")
    assert finding.invalidates
    assert finding.issue.path == f"spec.gateway.expose.{path}"


def test_two_listeners_of_one_parent_are_fine() -> None:
    parents = [{"name": "a", "sectionName": "http"}, {"name": "a", "sectionName": "https"}, {"name": "a", "namespace": "b"}]
    assert codes(gateway(expose={"httpRoute": {"parentRefs": parents}})) == []


def test_route_where_the_cluster_has_no_gateway_api() -> None:
    state = replace(gateway(expose={"httpRoute": {"parentRefs": [{"name": "a"}]}}), gateway_api_installed=False)
    assert found(state, "GatewayAPINotInstalled").invalidates
    assert codes(known(gateway_api_installed=False)) == []


def test_pods_that_serve_tls_behind_a_route_deserve_a_word() -> None:
    state = gateway(tls={"secretRef": {"name": "cert"}}, expose={"ingress": {"host": "a.example"}})
    assert found(state, "BackendServesTLS").issue.severity is Severity.INFO


OWN_TOKEN = {"auth": {"tokenSecretRef": {"name": "mine"}}}


@pytest.mark.parametrize("token", [None, TokenState(ours=False, has_token=False)])
def test_own_token_secret_without_a_token(token: TokenState | None) -> None:
    assert found(replace(gateway(**OWN_TOKEN), token=token), "TokenSecretInvalid").invalidates


def test_own_token_secret_with_a_token_is_fine() -> None:
    assert codes(replace(gateway(**OWN_TOKEN), token=TokenState(ours=False, has_token=True))) == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"tls": {"secretRef": {"name": "cert"}}}, "spec.gateway.tls.secretRef"),
        ({"expose": {"ingress": {"host": "a.example", "tlsSecretRef": {"name": "cert"}}}}, "spec.gateway.expose.ingress.tlsSecretRef"),
    ],
)
def test_certificate_that_does_not_exist(fields: dict[str, Any], path: str) -> None:
    state = replace(gateway(**fields), absent_secrets=frozenset({"cert"}))
    assert found(state, "TLSSecretNotFound").issue.path == path


def test_childs_name_that_a_stranger_bears() -> None:
    finding = found(known(taken=(TakenName("Service", "support-voice", "It belongs to nobody."),)), "ChildNameTaken")
    assert finding.invalidates
    assert "Service 'support-voice'" in finding.issue.message


def test_childs_name_that_is_about_to_be_free_is_no_fault() -> None:
    assert codes(known(taken=(TakenName("Service", "support-voice", leaving=True),))) == []


def test_refusal_of_the_api_server_is_a_fault_of_the_spec_unless_it_passes() -> None:
    refused = Refusal("Deployment", "support-voice", "admission webhook denied it")
    assert found(known(refused=refused), "RefusedByServer").invalidates
    passing = found(known(refused=replace(refused, passing=True)), "ApplyFailed")
    assert not passing.invalidates
    assert passing.issue.severity is Severity.ERROR


def test_key_that_is_missing_blocks_calls() -> None:
    state = known(credential=MISSING)
    finding = found(state, "SecretNotFound")
    assert (finding.condition, finding.issue.path) == (ConditionType.CREDENTIAL_RESOLVED, "spec.secretRef")
    assert "CONNECTION_NOT_READY" in codes(state)


def test_white_space_around_the_key_is_a_warning() -> None:
    assert found(known(credential=ResolvedCredential(trimmed=True)), "CredentialTrimmed").issue.severity is Severity.WARNING


CLEAR = [code for code in ProbeCode if code.definite and code is not ProbeCode.CONNECTED]
TROUBLE = [code for code in ProbeCode if code.trouble]


@pytest.mark.parametrize("code", CLEAR)
def test_clear_answer_of_mistral_is_an_error_with_a_suggestion(code: ProbeCode) -> None:
    state = known(health=health(code))
    finding = found(state, code.value)
    assert (finding.issue.severity, finding.condition) == (Severity.ERROR, ConditionType.HEALTHY)
    assert finding.issue.suggestion
    assert "CONNECTION_NOT_READY" in codes(state)


@pytest.mark.parametrize("code", TROUBLE)
def test_trouble_is_a_warning_until_it_counts(code: ProbeCode) -> None:
    state = known(health=health(ProbeCode.CONNECTED, code))
    assert found(state, code.value).issue.severity is Severity.WARNING
    assert found(state, code.value).issue.suggestion
    assert "CONNECTION_NOT_READY" not in codes(state)


def test_trouble_that_counts_is_an_error_told_once() -> None:
    state = known(health=health(*[ProbeCode.UPSTREAM_TIMEOUT] * 3))
    assert codes(state).count("UpstreamTimeout") == 1
    assert found(state, "UpstreamTimeout").issue.severity is Severity.ERROR


def test_connection_that_was_never_checked_only_warns() -> None:
    finding = found(known(health=Health()), "CONNECTION_STATUS_UNKNOWN")
    assert finding.issue.severity is Severity.WARNING


def test_warnings_of_the_check_are_issues() -> None:
    warning = ProbeWarning(WarningCode.MODEL_DEPRECATED, "spec.config.model", "It retires.", "Change it.")
    state = known(health=after(Health(), probed(ProbeCode.CONNECTED, warnings=(warning,))))
    assert found(state, "ModelDeprecated").issue == ValidationIssue(
        "ModelDeprecated", Severity.WARNING, "spec.config.model", "It retires.", "Change it."
    )


def test_restart_keeps_what_an_earlier_process_warned_of() -> None:
    told = [
        {
            "code": "ModelDeprecated",
            "severity": "warning",
            "path": "spec.config.model",
            "message": "It retires.",
            "suggestion": "Change it.",
        },
        {"code": "RateLimited", "severity": "warning", "path": "spec.endpoint", "message": "Slow down.", "suggestion": "Wait."},
        {"code": "SecretNotFound", "severity": "error", "path": "spec.secretRef", "message": "Gone.", "suggestion": "Create it."},
    ]
    restored = replace(health(ProbeCode.CONNECTED), last=None)
    assert codes(known(health=restored, previous={"issues": told})) == ["RateLimited", "ModelDeprecated"]
    assert codes(known(previous={"issues": told})) == []


@pytest.mark.parametrize(
    ("fields", "code", "severity"),
    [
        ({"replicas": 3, "autoscaling": {"maxReplicas": 5}}, "ReplicasIgnored", Severity.INFO),
        ({"maxSessionsPerPod": 10, "autoscaling": {"maxReplicas": 5, "targetSessionsPerPod": 10}}, "TargetNeverExceeded", Severity.WARNING),
        ({"drainTimeoutSeconds": 571}, "DrainLongerThanAutoscalersWait", Severity.INFO),
    ],
)
def test_numbers_that_have_no_effect_or_a_surprising_one(fields: dict[str, Any], code: str, severity: Severity) -> None:
    assert found(gateway(**fields), code).issue.severity is severity


@pytest.mark.parametrize(
    "fields", [{"replicas": 1, "autoscaling": {"maxReplicas": 5}}, {"drainTimeoutSeconds": 570}, {"autoscaling": {"maxReplicas": 2}}]
)
def test_numbers_that_are_as_they_should_be(fields: dict[str, Any]) -> None:
    assert codes(gateway(**fields)) == []


def test_value_that_is_listed_twice() -> None:
    assert found(known(spec={"policy": {"allowedVoices": ["a", "b", "a"]}}), "PolicyRedundant").issue.path == "spec.policy.allowedVoices"


def test_pods_that_do_not_start_speak_for_themselves() -> None:
    trouble = PodTrouble(Reason.IMAGE_PULL_FAILED, "mistral-voice:9: not found")
    state = known(deployment=replace(RUNNING, updated_replicas=0), trouble=trouble)
    finding = found(state, "ImagePullFailed")
    assert "mistral-voice:9: not found" in finding.issue.message
    assert finding.issue.suggestion
    assert codes(known(trouble=trouble)) == []  # By now they are ready.


def test_texts_of_others_are_bounded() -> None:
    state = known(refused=Refusal("Deployment", "support-voice", "word " * 10_000))
    assert len(found(state, "RefusedByServer").issue.message) <= 1024


def test_an_operators_voice_that_is_none_is_the_administrators_to_mend() -> None:
    state = known(health=health(ProbeCode.VOICE_NOT_FOUND))
    assert "who runs the operator" in found(state, "VoiceNotFound").issue.suggestion
    assert "who runs the operator" not in found(replace(state, spec=spec(config={"defaultVoice": "v"})), "VoiceNotFound").issue.suggestion
