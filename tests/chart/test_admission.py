"""The installed chart against a real API server: what the operator's own identity may write, and who may do what with integrations."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mistral_voice.contract import names
from tests.chart.installing import DENIED, install
from tests.chart.rendering import NAME
from tests.cluster import ApiServer, api_server
from tests.support.waiting import WAIT_SECONDS

TEAM = "team-a"
CONTROLLERS = ["clusterrole-aggregation-controller", "serviceaccount-token-controller", "validatingadmissionpolicy-status-controller"]


@dataclass(frozen=True)
class Installed:
    """An API server with the chart in it, and one integration."""

    cluster: ApiServer
    operator: Path
    integration: dict[str, Any]

    def as_operator(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as the operator's ServiceAccount and return what it said, good or bad."""
        text = None if stdin is None else json.dumps(stdin)
        result = self.cluster.kubectl("--kubeconfig", str(self.operator), "-n", TEAM, *arguments, stdin=text, check=False)
        return result.stdout + result.stderr

    def create(self, body: dict[str, Any]) -> str:
        return self.as_operator("create", "--filename", "-", stdin=body)

    def create_as_admin(self, body: dict[str, Any]) -> None:
        self.cluster.kubectl("-n", TEAM, "create", "--filename", "-", stdin=json.dumps(body))

    def owner(self, **changes: Any) -> dict[str, Any]:
        metadata = self.integration["metadata"]
        reference = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {**reference, **changes}

    def child(self, kind: str, name: str, *, labelled: bool = True, owned: bool = True, **body: Any) -> dict[str, Any]:
        labels = {names.INTEGRATION_UID_LABEL: self.integration["metadata"]["uid"]} if labelled else {"app": "other"}
        metadata: dict[str, Any] = {"name": name, "namespace": TEAM, "labels": labels}
        if owned:
            metadata["ownerReferences"] = [self.owner()]
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with api_server(controller_manager=CONTROLLERS) as cluster:
        operator = install(cluster, TEAM)
        integration = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": "support", "namespace": TEAM},
            "spec": {"mode": "byok", "secretRef": {"name": "mistral"}},
        }
        made = cluster.kubectl("create", "--filename", "-", "--output", "json", stdin=json.dumps(integration))
        yield Installed(cluster, operator, json.loads(made.stdout))


def token(installed: Installed, name: str = "support-voice-token", **how: Any) -> dict[str, Any]:
    return installed.child("Secret", name, type=how.pop("type", "Opaque"), stringData={"token": "x"}, **how)


def marks(installed: Installed) -> str:
    """A patch that makes any object look like the operator's own."""
    return json.dumps({"metadata": {key: token(installed)["metadata"][key] for key in ("labels", "ownerReferences")}})


@pytest.fixture
def no_token(installed: Installed) -> Installed:
    installed.cluster.kubectl("-n", TEAM, "delete", "secret", "--all", "--ignore-not-found")
    return installed


def test_the_policy_has_no_complaint_from_the_type_checker(installed: Installed) -> None:
    installed.cluster.kubectl(
        "wait", f"validatingadmissionpolicy/{NAME}-writes", "--for=jsonpath={.status.observedGeneration}=1", "--timeout=90s"
    )
    policy = json.loads(installed.cluster.kubectl("get", "validatingadmissionpolicy", f"{NAME}-writes", "-o", "json").stdout)
    assert policy["status"].get("typeChecking", {}).get("expressionWarnings", []) == []


def test_the_operator_makes_changes_and_deletes_a_client_token(no_token: Installed) -> None:
    assert "created" in no_token.create(token(no_token))
    assert "patched" in no_token.as_operator("patch", "secret", "support-voice-token", "--patch", '{"stringData": {"previousToken": "y"}}')
    assert "deleted" in no_token.as_operator("delete", "secret", "support-voice-token")


@pytest.mark.parametrize(
    "how",
    [{"labelled": False}, {"owned": False}, {"name": "other-voice-token"}, {"name": "mistral"}, {"type": "example.com/other"}],
    ids=["no label", "no controller", "another's name", "a free name", "another type"],
)
def test_the_operator_makes_no_other_secret(no_token: Installed, how: dict[str, Any]) -> None:
    assert DENIED in no_token.create(token(no_token, **how))


@pytest.mark.parametrize(
    "reference",
    [{"controller": False}, {"kind": "Other"}, {"apiVersion": "other.io/v1"}, {"uid": "00000000-0000-0000-0000-000000000000"}],
    ids=["not the controller", "another kind", "another group", "another integration than the label"],
)
def test_an_owner_that_is_not_the_labelled_integration_does_not_count(no_token: Installed, reference: dict[str, Any]) -> None:
    body = token(no_token)
    body["metadata"]["ownerReferences"] = [no_token.owner(**reference)]
    assert DENIED in no_token.create(body)


def test_a_tenants_secret_can_be_read_but_neither_changed_deleted_nor_listed(no_token: Installed) -> None:
    no_token.create_as_admin({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mistral"}, "stringData": {"apiKey": "k"}})
    assert "apiKey" in no_token.as_operator("get", "secret", "mistral", "--output", "json")
    assert DENIED in no_token.as_operator("patch", "secret", "mistral", "--patch", '{"stringData": {"apiKey": "z"}}')
    assert DENIED in no_token.as_operator("patch", "secret", "mistral", "--patch", marks(no_token))
    assert DENIED in no_token.as_operator("delete", "secret", "mistral")
    assert "cannot list resource" in no_token.as_operator("get", "secrets")


def test_a_foreign_secret_that_bears_a_tokens_name_is_out_of_reach(no_token: Installed) -> None:
    no_token.create_as_admin(token(no_token, labelled=False, owned=False))
    assert DENIED in no_token.as_operator("delete", "secret", "support-voice-token")
    assert DENIED in no_token.as_operator("patch", "secret", "support-voice-token", "--patch", marks(no_token))


@pytest.mark.parametrize("kept", ["label", "controller"])
def test_a_token_whose_label_or_controller_was_stripped_can_be_mended_but_only_whole(no_token: Installed, kept: str) -> None:
    no_token.create_as_admin(token(no_token, labelled=kept == "label", owned=kept == "controller"))
    assert DENIED in no_token.as_operator("patch", "secret", "support-voice-token", "--patch", '{"stringData": {"token": "z"}}')
    assert "patched" in no_token.as_operator("patch", "secret", "support-voice-token", "--patch", marks(no_token))


def test_a_token_can_not_be_given_away(no_token: Installed) -> None:
    no_token.create(token(no_token))
    bare = json.dumps({"metadata": {"labels": {names.INTEGRATION_UID_LABEL: None}}})
    assert DENIED in no_token.as_operator("patch", "secret", "support-voice-token", "--type=merge", "--patch", bare)


def test_other_children_are_made_mended_and_deleted_like_the_operator_does(installed: Installed) -> None:
    name = "support-voice"
    assert "created" in installed.create(installed.child("ConfigMap", name, data={"a": "1"}))
    stripped = json.dumps({"metadata": {"labels": {names.INTEGRATION_UID_LABEL: None}}})
    installed.cluster.kubectl("-n", TEAM, "patch", "configmap", name, "--type=merge", "--patch", stripped)
    # The first of two steps: managedFields alone, while the label is still missing.
    assert "patched" in installed.as_operator("patch", "configmap", name, "--patch", '{"data": {"a": "2"}}')
    apply = ["apply", "--server-side", "--force-conflicts", "--field-manager", names.FIELD_MANAGER, "--filename", "-"]
    assert "serverside-applied" in installed.as_operator(*apply, stdin=installed.child("ConfigMap", name, data={"a": "3"}))
    assert "deleted" in installed.as_operator("delete", "configmap", name)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("ConfigMap", {"data": {"a": "1"}}),
        ("ServiceAccount", {}),
        ("Service", {"spec": {"ports": [{"port": 80}]}}),
    ],
)
def test_objects_of_others_are_neither_changed_nor_deleted(installed: Installed, kind: str, body: dict[str, Any]) -> None:
    name = f"foreign-{secrets.token_hex(4)}"
    installed.create_as_admin(installed.child(kind, name, labelled=False, owned=False, **body))
    assert DENIED in installed.create(installed.child(kind, f"{name}-2", labelled=False, owned=False, **body))
    assert DENIED in installed.as_operator("patch", kind.lower(), name, "--patch", '{"metadata": {"annotations": {"a": "b"}}}')
    assert DENIED in installed.as_operator("delete", kind.lower(), name)


def test_a_refusal_says_why(installed: Installed) -> None:
    installed.create_as_admin({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "why"}})
    assert (
        "The operator may not touch configmaps why: no MistralVoiceIntegration is its controller and it bears no label of one."
        in installed.as_operator("delete", "configmap", "why")
    )


def test_everybody_else_writes_as_before(installed: Installed) -> None:
    installed.create_as_admin({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"free-{secrets.token_hex(4)}"}})


@pytest.mark.parametrize(
    ("role", "verb", "resource", "allowed"),
    [
        ("view", "list", names.PLURAL, True),
        ("view", "create", names.PLURAL, False),
        ("edit", "create", names.PLURAL, True),
        ("edit", "patch", f"{names.PLURAL}/scale", True),
        ("edit", "patch", f"{names.PLURAL}/status", False),
        ("admin", "delete", names.PLURAL, True),
    ],
)
def test_the_clusters_roles_cover_integrations(installed: Installed, role: str, verb: str, resource: str, allowed: bool) -> None:
    person = f"{role}-person"
    binding = ["-n", TEAM, "create", "rolebinding", person, f"--clusterrole={role}", f"--user={person}", "--dry-run=client", "-o", "yaml"]
    installed.cluster.kubectl("apply", "-f", "-", stdin=installed.cluster.kubectl(*binding).stdout)
    name, _, subresource = resource.partition("/")
    question = ["-n", TEAM, "auth", "can-i", verb, f"{name}.{names.GROUP}", f"--as={person}"]
    question += [f"--subresource={subresource}"] if subresource else []
    deadline = time.monotonic() + WAIT_SECONDS
    answer = ""
    while time.monotonic() < deadline and answer != ("yes" if allowed else "no"):
        answer = installed.cluster.kubectl(*question, check=False).stdout.strip()
    assert answer == ("yes" if allowed else "no")
