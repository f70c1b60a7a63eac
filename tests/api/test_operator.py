"""The operator against a real API server, with Mistral simulated: from one resource to children, status and back."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mistral_voice.kube.errors import Invalid, NotFound
from mistral_voice.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Resource,
)
from tests.api.operating import CANARY, Operating, Operation, operation
from tests.cluster import ApiServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operation]:
    async with operation(cluster, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Operation) -> Operating:
    return await running.in_new_namespace()


async def test_one_resource_becomes_its_children_and_a_status(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    for resource in (SERVICE_ACCOUNT, CONFIG_MAP, DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET, NETWORK_POLICY):
        child = await world.client.get(resource, world.namespace, "support-voice")
        owner = child["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("MistralVoiceIntegration", "support", True), resource.kind
    status = (await world.integration("support"))["status"]
    assert status["connection"]["status"] == "connected"
    assert status["credential"]["validationStatus"] == "valid"
    assert [condition["type"] for condition in status["conditions"]] == [
        "ConfigValid",
        "CredentialResolved",
        "Healthy",
        "GatewayAvailable",
        "Ready",
        "Reconciling",
        "Stalled",
    ]
    token = await world.client.get(SECRET, world.namespace, "support-voice-token")
    assert len(base64.b64decode(token["data"]["token"])) >= 32


async def test_a_ready_deployment_makes_the_integration_ready(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    endpoint = (await world.integration("support"))["status"]["gateway"]["endpoints"][0]
    assert endpoint == {"type": "Internal", "url": f"ws://support-voice.{world.namespace}.svc.cluster.local:8080/v1/realtime"}


async def test_a_missing_secret_is_told_and_heals_when_it_comes(world: Operating) -> None:
    await world.apply("support")
    condition = await world.condition("support", "CredentialResolved", "False")
    assert condition["reason"] == "SecretNotFound"
    assert world.issue(await world.integration("support"), "SecretNotFound")["suggestion"]
    with pytest.raises(NotFound):
        await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
    await world.put_key()
    await world.condition("support", "CredentialResolved", "True")
    await eventually(world.exists(DEPLOYMENT, "support-voice"), "the Deployment")


async def test_a_wrong_key_is_unhealthy_at_once_and_the_right_one_heals(world: Operating) -> None:
    await world.put_key("not-a-key-that-mistral-knows")
    await world.apply("support", healthCheck={"intervalSeconds": 10})
    condition = await world.condition("support", "Healthy", "False")
    assert condition["reason"] == "Unauthorized"
    assert (await world.condition("support", "Stalled", "True"))["reason"] == "Unauthorized"
    assert (await world.integration("support"))["status"]["credential"]["validationStatus"] == "invalid"
    await world.put_key()
    await world.condition("support", "Healthy", "True")


async def test_a_foreign_object_of_a_childs_name_is_left_alone(world: Operating) -> None:
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "support-voice"}, "data": {"mine": "yes"}}
    made = await world.client.create(CONFIG_MAP, world.namespace, foreign)
    await world.put_key()
    await world.apply("support")
    condition = await world.condition("support", "Stalled", "True")
    assert condition["reason"] == "ChildNameTaken"
    untouched = await world.client.get(CONFIG_MAP, world.namespace, "support-voice")
    assert untouched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    await world.client.delete(CONFIG_MAP, world.namespace, "support-voice")
    await world.condition("support", "Stalled", "False")


async def test_a_copy_of_the_deployment_is_neither_taken_for_it_nor_touched(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    original = await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
    metadata = {"name": "a-debug-copy", "labels": original["metadata"]["labels"]}
    copy = await world.client.create(DEPLOYMENT, world.namespace, {**original, "metadata": metadata, "status": {}})
    await world.pretend_pods("support", ready=1)
    await world.apply("support", suspend=False, gateway={"replicas": 2})
    await eventually(world.replicas("support", 2), "two replicas")
    await world.pretend_pods("support", ready=2)

    async def counted() -> bool:
        return bool((await world.integration("support"))["status"]["gateway"]["readyReplicas"] == 2)

    await eventually(counted, "the original's pods in status")
    await world.condition("support", "Ready", "True")
    untouched = await world.client.get(DEPLOYMENT, world.namespace, "a-debug-copy")
    assert untouched["metadata"]["resourceVersion"] == copy["metadata"]["resourceVersion"]


async def test_a_copy_of_a_namespace_stays_apart_from_the_original(running: Operation, world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    copied = await running.in_new_namespace()
    original = await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
    metadata = {"name": "support-voice", "labels": original["metadata"]["labels"]}
    await copied.client.create(DEPLOYMENT, copied.namespace, {**original, "metadata": metadata})
    before = await world.versions("support")
    await world.client.delete(CONFIG_MAP, world.namespace, "support-voice")
    await eventually(world.exists(CONFIG_MAP, "support-voice"), "the ConfigMap, which shows that a visit took place")
    after = await world.versions("support")
    assert {name for name in before if before[name] != after[name]} == {"configmaps"}
    assert (await world.integration("support"))["status"]["gateway"]["readyReplicas"] == 1


async def test_a_restore_that_made_new_uids_and_dropped_owners_takes_its_children_up_again_with_their_token(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    token = (await world.client.get(SECRET, world.namespace, "support-voice-token"))["data"]["token"]
    pods = (await world.client.get(DEPLOYMENT, world.namespace, "support-voice"))["metadata"]["uid"]
    everything = dict.fromkeys((SERVICE_ACCOUNT, CONFIG_MAP, DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET, NETWORK_POLICY), "support-voice")
    # No garbage collector runs here, so that of the former integration all stays; the references are what a backup leaves out.
    world.kubectl("delete", "mvi", "support", "-n", world.namespace)
    for resource, name in {**everything, SECRET: "support-voice-token"}.items():
        await world.client.merge_patch(resource, world.namespace, name, {"metadata": {"ownerReferences": None}}, field_manager="restore")
    await world.apply("support")
    uid = (await world.integration("support"))["metadata"]["uid"]

    async def taken_up() -> bool:
        children = [await world.client.get(resource, world.namespace, name) for resource, name in everything.items()]
        owners = [child["metadata"].get("ownerReferences", [{}])[0].get("uid") for child in children]
        return owners == [uid] * len(children)

    await eventually(taken_up, "all children to belong to the new integration")
    await world.condition("support", "Ready", "True")
    assert (await world.client.get(DEPLOYMENT, world.namespace, "support-voice"))["metadata"]["uid"] == pods
    secret = await world.client.get(SECRET, world.namespace, "support-voice-token")
    assert (secret["data"]["token"], secret["metadata"]["ownerReferences"][0]["uid"]) == (token, uid)


async def test_one_that_is_made_again_at_once_waits_until_its_former_children_are_gone(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    world.kubectl("delete", "mvi", "support", "-n", world.namespace)
    await world.apply("support")
    await world.condition("support", "Reconciling", "True", reason="ChildrenTerminating")
    await world.condition("support", "Stalled", "False")
    # No garbage collector runs here.
    kinds = "deployments,services,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets"
    world.kubectl("delete", kinds, "support-voice", "-n", world.namespace)
    world.kubectl("delete", "secret", "support-voice-token", "-n", world.namespace)
    uid = (await world.integration("support"))["metadata"]["uid"]

    async def made_anew() -> bool:
        deployment = await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
        return bool(deployment["metadata"]["ownerReferences"][0]["uid"] == uid)

    await world.condition("support", "Reconciling", "True", reason="RollingOut")
    await eventually(made_anew, "the Deployment of the new integration")
    assert "ChildNameTaken" not in world.kubectl("get", "events", "-n", world.namespace)


DRIFT: list[tuple[Resource, list[dict[str, Any]]]] = [
    (CONFIG_MAP, [{"op": "replace", "path": "/data/gateway.json", "value": "{}"}]),
    (SERVICE, [{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]),
    (SERVICE, [{"op": "remove", "path": "/spec/selector/app.kubernetes.io~1instance"}]),
    (DEPLOYMENT, [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other"}]),
    (
        DEPLOYMENT,
        [
            {"op": "remove", "path": "/spec/template/spec/volumes/0"},
            {"op": "remove", "path": "/spec/template/spec/containers/0/volumeMounts/0"},
        ],
    ),
    (DEPLOYMENT, [{"op": "remove", "path": "/metadata/ownerReferences"}]),
    (POD_DISRUPTION_BUDGET, [{"op": "replace", "path": "/spec/maxUnavailable", "value": 5}]),
    (NETWORK_POLICY, [{"op": "remove", "path": "/spec/ingress/0"}]),
    (SERVICE_ACCOUNT, [{"op": "replace", "path": "/automountServiceAccountToken", "value": True}]),
    (SERVICE_ACCOUNT, [{"op": "remove", "path": "/metadata/labels"}]),
]


@pytest.mark.parametrize(("resource", "patch"), DRIFT, ids=lambda value: value.kind if isinstance(value, Resource) else value[0]["path"])
async def test_a_hand_edit_comes_back(world: Operating, resource: Resource, patch: list[dict[str, Any]]) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    wanted = world.meaning(await world.client.get(resource, world.namespace, "support-voice"))
    await world.client.json_patch(resource, world.namespace, "support-voice", patch, field_manager="somebody")

    async def restored() -> bool:
        return world.meaning(await world.client.get(resource, world.namespace, "support-voice")) == wanted

    await eventually(restored, f"the {resource.kind} to come back")


@pytest.mark.parametrize(
    "resource", [SERVICE_ACCOUNT, CONFIG_MAP, DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET, NETWORK_POLICY], ids=lambda r: r.kind
)
async def test_a_deleted_child_comes_back(world: Operating, resource: Resource) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    former = (await world.client.get(resource, world.namespace, "support-voice"))["metadata"]["uid"]
    await world.client.delete(resource, world.namespace, "support-voice")

    async def back() -> bool:
        try:
            return bool((await world.client.get(resource, world.namespace, "support-voice"))["metadata"]["uid"] != former)
        except NotFound:
            return False

    await eventually(back, f"a new {resource.kind}")


async def test_what_others_add_stays(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    addition = {"metadata": {"annotations": {"example.com/note": "hello"}}, "spec": {"minReadySeconds": 3}}
    await world.client.merge_patch(DEPLOYMENT, world.namespace, "support-voice", addition, field_manager="somebody")
    await world.client.delete(CONFIG_MAP, world.namespace, "support-voice")
    await eventually(world.exists(CONFIG_MAP, "support-voice"), "the ConfigMap, which shows that a visit took place")
    deployment = await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
    assert deployment["metadata"]["annotations"]["example.com/note"] == "hello"
    assert deployment["spec"]["minReadySeconds"] == 3


async def test_an_invalid_change_leaves_the_gateway_and_says_so(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    before = await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
    await world.apply("support", endpoint="unknown", config={"model": "mistral-small-latest"})
    assert (await world.condition("support", "ConfigValid", "False"))["reason"] == "UnknownEndpoint"
    await world.condition("support", "Ready", "False")
    await world.condition("support", "GatewayAvailable", "True")
    after = await world.client.get(DEPLOYMENT, world.namespace, "support-voice")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules: [{{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}}]
  validations:
  - expression: "!('forbidden' in object.spec.template.metadata.labels)"
    message: pods labelled forbidden are not welcome here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
"""


async def test_what_an_admission_policy_refuses_leaves_nothing_half_applied(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    policy = POLICY.format(name=f"no-forbidden-{world.namespace}", namespace=world.namespace)
    world.cluster.kubectl("apply", "-f", "-", stdin=policy)

    async def in_force() -> bool:
        patch = {"spec": {"template": {"metadata": {"labels": {"forbidden": "yes"}}}}}
        try:
            await world.client.apply(
                DEPLOYMENT,
                world.namespace,
                "support-voice",
                {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "support-voice"}, **patch},
                field_manager="asking",
                dry_run=True,
            )
        except Invalid:
            return True
        return False

    await eventually(in_force, "the policy to be in force")
    before = await world.client.get(CONFIG_MAP, world.namespace, "support-voice")
    await world.apply("support", config={"maxSessionDurationSeconds": 60}, gateway={"template": {"labels": {"forbidden": "yes"}}})
    condition = await world.condition("support", "ConfigValid", "False")
    assert condition["reason"] == "RefusedByServer"
    assert "pods labelled forbidden are not welcome here" in condition["message"]
    after = await world.client.get(CONFIG_MAP, world.namespace, "support-voice")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_managed_mode_gets_no_children_and_says_why(world: Operating) -> None:
    await world.apply("support", mode="managed", secretRef=None, planRef={"name": "standard"})
    assert (await world.condition("support", "Stalled", "True"))["reason"] == "ManagedModeNotInstalled"
    for resource in (DEPLOYMENT, SERVICE, CONFIG_MAP, SERVICE_ACCOUNT):
        assert not await world.exists(resource, "support-voice")()


async def test_suspend_scales_to_nothing_and_resume_back(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", gateway={"replicas": 2})
    await eventually(world.replicas("support", 2), "two replicas")
    await world.apply("support", gateway={"replicas": 2}, suspend=True)
    await eventually(world.replicas("support", 0), "no replica")
    await world.apply("support", gateway={"replicas": 2}, suspend=False)
    await eventually(world.replicas("support", 2), "two replicas again")


async def test_the_token_is_made_once_and_only_what_is_missing_returns(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", healthCheck={"intervalSeconds": 10})
    await world.condition("support", "Healthy", "True")
    changed = {"data": {"token": base64.b64encode(b"chosen-by-somebody").decode()}, "metadata": {"labels": None}}
    await world.client.merge_patch(SECRET, world.namespace, "support-voice-token", changed, field_manager="somebody")

    async def labels_back() -> bool:
        secret = await world.client.get(SECRET, world.namespace, "support-voice-token")
        assert base64.b64decode(secret["data"]["token"]) == b"chosen-by-somebody"
        return bool(secret["metadata"].get("labels"))

    await eventually(labels_back, "the labels")


async def test_no_canary_is_ever_found(world: Operating) -> None:
    await world.put_key(CANARY)
    await world.apply("support", healthCheck={"intervalSeconds": 10})
    await world.condition("support", "Healthy", "False")
    everything = [await world.integration("support")]
    for resource in (CONFIG_MAP, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT):
        everything += await world.client.list_all(resource, world.namespace)
    events = json.loads(world.kubectl("get", "events", "-n", world.namespace, "-o", "json"))
    _, metrics = await world.operator.get("/metrics")
    haystack = json.dumps([everything, events]) + metrics + world.operator.log
    assert CANARY not in haystack
    assert base64.b64encode(CANARY.encode()).decode() not in haystack


async def test_many_integrations_at_once_all_get_there(world: Operating) -> None:
    await world.put_key()
    names = [f"voice-{number}" for number in range(20)]
    await asyncio.gather(*(world.apply(name) for name in names))
    await asyncio.gather(*(world.condition(name, "Healthy", "True") for name in names))
