"""The spec as the operator reads it: typed, or a list of what is wrong."""

from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import settings
from hypothesis import strategies as st

from mistral_voice.contract.integration import OwnershipMode, TurnDetection
from mistral_voice.contract.v1alpha1.integration import parse_spec, valid_name
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.contract.vocabulary import Severity, ValidationIssue

MINIMAL: dict[str, Any] = {"mode": "byok", "secretRef": {"name": "mistral"}}


def parsed(**changes: Any) -> IntegrationSpecification:
    spec = parse_spec({**MINIMAL, **changes})
    assert isinstance(spec, IntegrationSpecification), spec
    return spec


def issues(spec: Any) -> list[ValidationIssue]:
    found = parse_spec(spec)
    assert isinstance(found, list), "it was accepted"
    return found


def test_mode_and_secret_reference_are_enough() -> None:
    spec = parsed()
    assert spec.mode is OwnershipMode.BYOK
    assert spec.config.model == "mistral-medium-latest"
    assert spec.config.turn_detection is TurnDetection.SERVER_VAD
    assert spec.config.max_session_duration_seconds == 600
    assert spec.gateway.replicas == 1
    assert spec.health_check.interval_seconds == 300
    assert spec.secret_ref is not None
    assert spec.secret_ref.key == "apiKey"
    assert not spec.suspend


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"mode": "byo"}, "spec.mode", "managed"),
        ({"secretRef": None}, "spec", "byok needs secretRef: name the Secret that holds your Mistral API key"),
        ({"planRef": {"name": "p"}}, "spec", "planRef is not allowed"),
        ({"mode": "managed"}, "spec", "managed needs planRef"),
        ({"mode": "managed", "planRef": {"name": "p"}}, "spec", "secretRef is not allowed"),
        ({"mode": "managed", "secretRef": None, "planRef": {"name": "p"}, "endpoint": "e"}, "spec", "endpoint is not allowed"),
        ({"config": {"turnDetection": "telepathy"}}, "spec.config.turnDetection", "server_vad"),
        ({"config": {"maxSessionDurationSeconds": 0}}, "spec.config.maxSessionDurationSeconds", "greater than or equal to 1"),
        ({"config": {"maxSessionDurationSeconds": 3601}}, "spec.config.maxSessionDurationSeconds", "less than or equal to 3600"),
        ({"config": {"maxSessionDurationSeconds": 1.5}}, "spec.config.maxSessionDurationSeconds", "fractional"),
        ({"config": {"maxSessionDurationSeconds": "600"}}, "spec.config.maxSessionDurationSeconds", "whole number"),
        ({"config": {"maxSessionDurationSeconds": True}}, "spec.config.maxSessionDurationSeconds", "whole number"),
        ({"config": {"model": " "}}, "spec.config.model", "must be the name of a Mistral model"),
        ({"config": {"model": ""}}, "spec.config.model", "must be the name of a Mistral model"),
        ({"config": {"defaultVoice": "a b"}}, "spec.config.defaultVoice", "must be the id of a Mistral voice"),
        ({"config": {"temperature": 1}}, "spec.config.temperature", "not permitted"),
        ({"secretRef": {"name": "m", "namespace": "other"}}, "spec.secretRef.namespace", "not permitted"),
        ({"gateway": {"template": {"hostNetwork": True}}}, "spec.gateway.template.hostNetwork", "not permitted"),
        (
            {"gateway": {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}},
            "spec.gateway.autoscaling",
            "minReplicas must not be greater than maxReplicas",
        ),
        (
            {"gateway": {"template": {"labels": {"voice.contractspec.io/x": "y"}}}},
            "spec.gateway.template",
            "belong to the operator",
        ),
        ({"gateway": {"replicas": -1}}, "spec.gateway.replicas", "greater than or equal to 0"),
        ({"gateway": {"resources": {"requests": {"cpu": "much"}}}}, "spec.gateway.resources.requests.cpu", "match pattern"),
        ({"healthCheck": {"intervalSeconds": 9}}, "spec.healthCheck.intervalSeconds", "greater than or equal to 10"),
        ({"suspend": "yes"}, "spec.suspend", "true or false"),
        ({"endpoint": "https://evil.example"}, "spec.endpoint", "match pattern"),
    ],
)
def test_wrong_value_is_an_issue_at_its_place(changes: dict[str, Any], path: str, words: str) -> None:
    found = [
        issue
        for issue in issues({key: value for key, value in {**MINIMAL, **changes}.items() if value is not None})
        if words in issue.message
    ]
    assert found, issues({**MINIMAL, **changes})
    assert found[0].path.startswith(path)
    assert (found[0].code, found[0].severity) == ("InvalidSpec", Severity.ERROR)


def test_several_faults_are_told_together() -> None:
    found = issues({"mode": "byo", "config": {"model": ""}, "gateway": {"replicas": -1}})
    assert {issue.path for issue in found} >= {"spec.mode", "spec.config.model", "spec.gateway.replicas"}


def test_faulty_values_are_not_quoted() -> None:
    canary = "canary-4711 pasted by mistake"
    assert canary not in repr(issues({**MINIMAL, "config": {"model": canary}, "endpoint": canary}))


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


@generated(
    st.dictionaries(st.sampled_from(["mode", "config", "secretRef", "planRef", "policy", "gateway", "suspend"]), ANYTHING) | ANYTHING
)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_typed_or_told_within_bounds(spec: Any) -> None:
    found = parse_spec(spec)
    if not isinstance(found, IntegrationSpecification):
        assert found
        assert all(len(issue.path) <= 256 and 0 < len(issue.message) <= 1024 for issue in found)


@pytest.mark.parametrize("name", ["a", "a1", "my-voice", "a" * 40])
def test_names_that_services_can_bear(name: str) -> None:
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a.b", "a_b", "a" * 41, "a\n", "ä"])
def test_names_that_they_can_not(name: str) -> None:
    assert not valid_name(name)
