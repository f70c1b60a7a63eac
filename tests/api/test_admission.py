"""What `kubectl apply` refuses, and with which sentence; what lenient clients get instead."""

import json
from copy import deepcopy
from typing import Any

import pytest

from mistral_voice.contract.names import API_VERSION, KIND
from tests.cluster import ApiServer
from tests.support.crds import install_crds

BYOK = {"mode": "byok", "secretRef": {"name": "mistral"}}


@pytest.fixture(scope="module", autouse=True)
def _crd(cluster: ApiServer) -> None:
    install_crds(cluster)


def integration(spec: dict[str, Any], name: str = "support") -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


class Kubectl:
    """`kubectl apply` in one namespace."""

    def __init__(self, cluster: ApiServer, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def apply(self, spec: dict[str, Any], name: str = "support", *flags: str) -> tuple[bool, str]:
        text = json.dumps(integration(spec, name))
        done = self._cluster.kubectl("apply", "-n", self._namespace, "-f", "-", *flags, stdin=text, check=False)
        return done.returncode == 0, done.stdout + done.stderr

    def get(self, name: str = "support") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._cluster.kubectl("get", "mvi", name, "-n", self._namespace, "-o", "json").stdout)
        return found


@pytest.fixture
def kubectl(cluster: ApiServer, namespace: str) -> Kubectl:
    return Kubectl(cluster, namespace)


def test_mode_and_secret_are_enough_and_the_rest_has_defaults(kubectl: Kubectl) -> None:
    accepted, text = kubectl.apply(BYOK)
    assert accepted, text
    assert kubectl.get()["spec"] == {
        "mode": "byok",
        "secretRef": {"name": "mistral", "key": "apiKey"},
        "config": {
            "model": "mistral-medium-latest",
            "defaultVoice": "default",
            "turnDetection": "server_vad",
            "maxSessionDurationSeconds": 600,
        },
        "gateway": {"replicas": 1, "maxSessionsPerPod": 100},
        "healthCheck": {"intervalSeconds": 300},
        "suspend": False,
    }


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"mode": "byok"}, "byok needs secretRef: name the Secret that holds your Mistral API key"),
        (BYOK | {"planRef": {"name": "standard"}}, "byok uses your own key, so planRef is not allowed"),
        ({"mode": "managed"}, "managed needs planRef: name the MistralVoicePlan to claim"),
        (
            {"mode": "managed", "planRef": {"name": "standard"}, "secretRef": {"name": "mistral"}},
            "managed uses the platform's key, so secretRef is not allowed",
        ),
        ({"mode": "managed", "planRef": {"name": "standard"}, "endpoint": "default"}, "so endpoint is not allowed"),
        (BYOK | {"gateway": {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}}, "minReplicas must not be greater than maxReplicas"),
        (BYOK | {"config": {"model": " "}}, "must be the name of a Mistral model"),
        (BYOK | {"config": {"model": ""}}, "must be the name of a Mistral model"),
        (BYOK | {"config": {"defaultVoice": "\t"}}, "must be the id of a Mistral voice"),
        (BYOK | {"policy": {"allowedModels": [""]}}, "must be the name of a Mistral model"),
        (BYOK | {"gateway": {"template": {"labels": {"app.kubernetes.io/name": "mine"}}}}, "belong to the operator: choose another prefix"),
        (BYOK | {"mode": "own"}, 'Unsupported value: "own": supported values: "managed", "byok"'),
        (BYOK | {"config": {"turnDetection": "semantic_vad"}}, 'supported values: "server_vad", "push_to_talk"'),
        (BYOK | {"config": {"maxSessionDurationSeconds": 0}}, "should be greater than or equal to 1"),
        (BYOK | {"config": {"maxSessionDurationSeconds": 3601}}, "should be less than or equal to 3600"),
        (BYOK | {"config": {"maxSessionDurationSeconds": 1.5}}, "must be of type integer"),
        (BYOK | {"endpoint": "https://evil.example"}, "spec.endpoint in body should match"),
    ],
)
def test_apply_refuses_with_a_sentence(kubectl: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    accepted, text = kubectl.apply(spec)
    assert not accepted
    assert sentence in text


@pytest.mark.parametrize("name", ["1st", "a" * 41, "a.b"])
def test_a_name_that_no_service_can_bear_is_refused(kubectl: Kubectl, name: str) -> None:
    accepted, text = kubectl.apply(BYOK, name)
    assert not accepted
    assert "metadata.name must be at most 40 characters" in text


def test_a_name_of_forty_characters_is_accepted(kubectl: Kubectl) -> None:
    accepted, text = kubectl.apply(BYOK, "a" * 40)
    assert accepted, text


def test_the_mode_cannot_be_changed(kubectl: Kubectl) -> None:
    assert kubectl.apply(BYOK)[0]
    accepted, text = kubectl.apply({"mode": "managed", "planRef": {"name": "standard"}})
    assert not accepted
    assert "mode can't be changed: delete the integration and create it again with the other mode" in text


UNKNOWN = [
    ({"secretRef": {"namespace": "other"}}, ("secretRef", "namespace")),
    ({"gateway": {"template": {"hostNetwork": True}}}, ("gateway", "template", "hostNetwork")),
    ({"config": {"temperature": 1}}, ("config", "temperature")),
    ({"apiKey": "x"}, ("apiKey",)),
]


def with_unknown(extra: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = deepcopy(BYOK)
    for key, value in extra.items():
        spec[key] = {**spec.get(key, {}), **value} if isinstance(value, dict) else value
    return spec


@pytest.mark.parametrize(("extra", "path"), UNKNOWN)
def test_a_strict_client_is_told_of_an_unknown_field(kubectl: Kubectl, extra: dict[str, Any], path: tuple[str, ...]) -> None:
    accepted, text = kubectl.apply(with_unknown(extra))
    assert not accepted
    assert f'unknown field "spec.{".".join(path)}"' in text


@pytest.mark.parametrize(("extra", "path"), UNKNOWN)
def test_a_lenient_client_gets_the_unknown_field_pruned(kubectl: Kubectl, extra: dict[str, Any], path: tuple[str, ...]) -> None:
    accepted, text = kubectl.apply(with_unknown(extra), "support", "--validate=ignore")
    assert accepted, text
    value: Any = kubectl.get()["spec"]
    for step in path[:-1]:
        value = value.get(step, {})
    assert path[-1] not in value


def test_the_scale_subresource_reads_and_writes_the_replicas(kubectl: Kubectl, cluster: ApiServer, namespace: str) -> None:
    assert kubectl.apply(BYOK)[0]
    cluster.kubectl("scale", "mvi/support", "-n", namespace, "--replicas=3")
    assert kubectl.get()["spec"]["gateway"]["replicas"] == 3


def test_explain_reads_like_documentation(cluster: ApiServer) -> None:
    text = " ".join(cluster.kubectl("explain", "mvi.spec", "--recursive=false").stdout.split())
    assert "Who owns the Mistral key: `byok`, the tenant; `managed`, the platform" in text
    assert "The Secret that holds the Mistral API key; needed with byok, forbidden with managed." in text


def test_integrations_can_be_selected_by_mode_and_secret(kubectl: Kubectl, cluster: ApiServer, namespace: str) -> None:
    assert kubectl.apply(BYOK)[0]
    for selector, found in (("spec.mode=byok", "support"), ("spec.mode=managed", ""), ("spec.secretRef.name=mistral", "support")):
        names = cluster.kubectl("get", "mvi", "-n", namespace, "--field-selector", selector, "-o", "jsonpath={.items[*].metadata.name}")
        assert names.stdout == found, selector
