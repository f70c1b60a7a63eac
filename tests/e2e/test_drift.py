"""What the operator made is put back when somebody changes it: every kind of child, on a cluster whose controllers are at work."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Resource,
)
from tests.e2e.place import Place
from tests.e2e.team import NO_PODS, Team, team_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHILD = "support-voice"
NOWHERE = {"nodeSelector": {"example.com/there-is-no-such": "node"}}
"""Pods that wait for ever cost nothing, and an autoscaler needs pods."""
ROUTE = {"httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["voice.example.com", "speech.example.com"]}}
INGRESS_HOST = {"ingress": {"host": "voice.example.com", "className": "nginx"}}
EVERYTHING = {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}, "expose": ROUTE | INGRESS_HOST, "template": NOWHERE}
KINDS = [
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    HTTP_ROUTE,
    INGRESS,
]
Patch = list[dict[str, Any]]
in_one_process = pytest.mark.xdist_group("drift")
"""These tests share an integration, whose children one after the other breaks."""


def replace(path: str, value: Any) -> Patch:
    return [{"op": "replace", "path": path, "value": value}]


def remove(*paths: str) -> Patch:
    return [{"op": "remove", "path": path} for path in paths]


_CONTAINER = "/spec/template/spec/containers/0"
EDITS: list[tuple[Resource, Patch]] = [
    (SERVICE_ACCOUNT, replace("/automountServiceAccountToken", True)),
    (CONFIG_MAP, replace("/data/gateway.json", "{}")),
    (CONFIG_MAP, remove("/data/gateway.json")),
    (DEPLOYMENT, replace(f"{_CONTAINER}/image", "localhost/other:image")),
    (DEPLOYMENT, remove(f"{_CONTAINER}/ports/0")),
    (DEPLOYMENT, remove("/spec/template/spec/volumes/0", f"{_CONTAINER}/volumeMounts/0")),
    (SERVICE, replace("/spec/ports/0/port", 81)),
    (SERVICE, remove("/spec/selector/app.kubernetes.io~1instance")),
    (POD_DISRUPTION_BUDGET, replace("/spec/maxUnavailable", 5)),
    (HORIZONTAL_POD_AUTOSCALER, replace("/spec/maxReplicas", 9)),
    (HORIZONTAL_POD_AUTOSCALER, remove("/spec/metrics/0")),
    (NETWORK_POLICY, replace("/spec/ingress/0/ports/0/port", 81)),
    (NETWORK_POLICY, remove("/spec/egress/0")),
    (HTTP_ROUTE, replace("/spec/rules/0/backendRefs/0/port", 81)),
    (HTTP_ROUTE, remove("/spec/hostnames/0")),
    (INGRESS, replace("/spec/rules/0/host", "other.example.com")),
    (INGRESS, remove("/spec/ingressClassName")),
    *((kind, remove("/metadata/labels")) for kind in KINDS),
    *((kind, remove("/metadata/ownerReferences")) for kind in KINDS),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def standing(place: Place) -> AsyncIterator[Team]:
    """An integration with every kind of child, for all tests that break one of them."""
    async with team_of(place) as team:
        await team.put_key()
        await team.apply("support", gateway=EVERYTHING)
        await team.condition("support", "Healthy", "True")
        for kind in KINDS:
            await eventually(team.exists(kind, CHILD), f"the {kind.kind}")
        await eventually(team.replicas("support", 2), "the autoscaler's least number of pods")
        yield team


def named(value: object) -> str:
    if isinstance(value, Resource):
        return value.kind
    assert isinstance(value, list)
    return f"{value[0]['op']} {value[0]['path'].rsplit('/', 2)[-2]} {value[0]['path'].rsplit('/', 1)[-1]}"


def meaning(body: KubeObject) -> KubeObject:
    """Return what the operator answers for, also of an object that controllers write to."""
    whole = Team.meaning(body)
    annotations = {key: value for key, value in whole["metadata"].get("annotations", {}).items() if not key.startswith("deployment.")}
    dropped = ("clusterIP", "clusterIPs")
    spec = {key: value for key, value in whole.get("spec", {}).items() if key not in dropped}
    return {**whole, "metadata": {**whole["metadata"], "annotations": annotations}, "spec": spec}


@in_one_process
async def test_an_integration_has_every_kind_of_child(standing: Team) -> None:
    owner = (await standing.integration("support"))["metadata"]["uid"]
    for kind in KINDS:
        child = await standing.client.get(kind, standing.namespace, CHILD)
        references = child["metadata"]["ownerReferences"]
        assert [(reference["uid"], reference["controller"]) for reference in references] == [(owner, True)], kind.kind


@in_one_process
@pytest.mark.parametrize(("kind", "edit"), EDITS, ids=named)
async def test_a_changed_child_comes_back(standing: Team, kind: Resource, edit: Patch) -> None:
    client, namespace = standing.client, standing.namespace
    wanted = meaning(await client.get(kind, namespace, CHILD))
    edited = await client.json_patch(kind, namespace, CHILD, edit, field_manager="somebody")
    assert meaning(edited) != wanted

    async def restored() -> bool:
        return meaning(await client.get(kind, namespace, CHILD)) == wanted

    await eventually(restored, f"the {kind.kind} to come back", every_seconds=0.05)


@in_one_process
@pytest.mark.parametrize("kind", KINDS, ids=named)
async def test_a_deleted_child_comes_back(standing: Team, kind: Resource) -> None:
    former = await standing.client.get(kind, standing.namespace, CHILD)
    await standing.client.delete(kind, standing.namespace, CHILD)
    await eventually(standing.differs(kind, CHILD, former), f"another {kind.kind}", every_seconds=0.05)
    assert meaning(await standing.client.get(kind, standing.namespace, CHILD)) == meaning(former)


@in_one_process
async def test_what_controllers_and_others_set_stays(standing: Team) -> None:
    client, namespace = standing.client, standing.namespace
    before = (await client.get(DEPLOYMENT, namespace, CHILD))["spec"]
    standing.kubectl("scale", f"deployment/{CHILD}", "--replicas=4")
    added = {"metadata": {"annotations": {"example.com/note": "hello"}}, "spec": {"minReadySeconds": 3}}
    await client.merge_patch(DEPLOYMENT, namespace, CHILD, added, field_manager="somebody")
    await visited(standing)
    after = await client.get(DEPLOYMENT, namespace, CHILD)
    assert after["spec"] == before | {"replicas": 4, "minReadySeconds": 3}
    assert after["metadata"]["annotations"]["example.com/note"] == "hello"


@in_one_process
async def test_the_tokens_value_is_never_restored_but_its_owner_is(standing: Team) -> None:
    client, namespace, name = standing.client, standing.namespace, f"{CHILD}-token"
    made = await client.get(SECRET, namespace, name)
    changed = {"data": {"token": "Y2hvc2VuLWJ5LXNvbWVib2R5"}, "metadata": {"ownerReferences": None}}
    await client.merge_patch(SECRET, namespace, name, changed, field_manager="somebody")
    await visited(standing)

    async def owned() -> bool:
        references = (await client.get(SECRET, namespace, name))["metadata"].get("ownerReferences")
        return bool(references == made["metadata"]["ownerReferences"])

    await eventually(owned, "the owner to come back")
    assert await standing.token() == "chosen-by-somebody"
    await client.json_patch(SECRET, namespace, name, remove("/metadata/labels", "/data/token"), field_manager="somebody")
    await visited(standing)

    async def whole() -> bool:
        present = await client.get(SECRET, namespace, name)
        return present["metadata"].get("labels") == made["metadata"]["labels"] and "token" in (present.get("data") or {})

    await eventually(whole, "labels and token to come back")
    assert await standing.token() != "chosen-by-somebody"
    await client.delete(SECRET, namespace, name)
    await visited(standing)
    await eventually(standing.exists(SECRET, name), "the token to come back")
    assert len(await standing.token()) >= 32


async def test_what_is_wanted_no_more_leaves_the_objects(team: Team) -> None:
    await team.put_key()
    tls = {"secretRef": {"name": "voice-tls"}}
    await team.put_secret({"tls.crt": b"certificate", "tls.key": b"key"}, name="voice-tls", kind="kubernetes.io/tls")
    template = {"labels": {"team": "a", "tier": "b"}, "annotations": {"note": "c"}, **NOWHERE}
    await team.apply("support", gateway={**NO_PODS, "template": template, "tls": tls, "expose": ROUTE})
    await team.condition("support", "Healthy", "True")
    full = await team.client.get(DEPLOYMENT, team.namespace, CHILD)
    assert full["spec"]["template"]["metadata"]["labels"]["tier"] == "b"
    await team.apply("support", gateway={**NO_PODS, "template": {"labels": {"team": "a"}}})

    async def gone() -> bool:
        return not await team.exists(HTTP_ROUTE, CHILD)()

    await eventually(gone, "the route to go")
    pods = (await team.client.get(DEPLOYMENT, team.namespace, CHILD))["spec"]["template"]
    assert "tier" not in pods["metadata"]["labels"]
    assert pods["metadata"]["labels"]["team"] == "a"
    assert "note" not in pods["metadata"]["annotations"]
    assert "nodeSelector" not in pods["spec"]
    lists = [("volumes", full["spec"]["template"]["spec"], pods["spec"])]
    lists += [("volumeMounts", full["spec"]["template"]["spec"]["containers"][0], pods["spec"]["containers"][0])]
    for field, before, after in lists:
        assert [item["name"] for item in before[field] if item not in after[field]] == ["tls"]


async def test_a_foreign_object_of_a_childs_name_is_untouched(team: Team) -> None:
    team.kubectl("create", "service", "clusterip", CHILD, "--tcp=80")
    foreign = await team.client.get(SERVICE, team.namespace, CHILD)
    await team.put_key()
    await team.apply("support", gateway=NO_PODS)
    await team.condition("support", "Stalled", "True", reason="ChildNameTaken")
    assert await team.client.get(SERVICE, team.namespace, CHILD) == foreign
    await team.client.delete(SERVICE, team.namespace, CHILD)
    await team.condition("support", "Stalled", "False")


async def test_deletion_removes_everything_and_nothing_else(team: Team) -> None:
    await team.put_key()
    for name in ("support", "sales"):
        await team.apply(name, gateway=EVERYTHING)
        await team.condition(name, "Healthy", "True")
    kinds = ",".join([*(f"{kind.plural}.{kind.group}" if kind.group else kind.plural for kind in KINDS), "secrets", "replicasets", "pods"])

    def left(name: str) -> list[str]:
        selector = f"voice.contractspec.io/integration={name}"
        return team.kubectl("get", kinds, "--selector", selector, "--output", "name").split()

    # The token and, of the Deployment's controller, a ReplicaSet and as many pods as the autoscaler wants at least.
    await eventually(lambda: len(left("sales")) == len(KINDS) + 4, "all of the other one", every_seconds=0.5)
    before = left("sales")
    team.kubectl("delete", "mvi/support", "--timeout=60s")
    await eventually(lambda: left("support") == [], "everything to go", every_seconds=0.5)
    assert left("sales") == before
    assert await team.exists(SECRET, "mistral")()


async def visited(team: Team) -> None:
    """Cause a reconciliation and wait for what shows that it took place."""
    former = await team.client.get(CONFIG_MAP, team.namespace, CHILD)
    await team.client.delete(CONFIG_MAP, team.namespace, CHILD)
    await eventually(team.differs(CONFIG_MAP, CHILD, former), "the ConfigMap to come back")
    # It is the first of a visit's objects or the last: only a second visit is surely after the first one's end.
    former = await team.client.get(CONFIG_MAP, team.namespace, CHILD)
    await team.client.delete(CONFIG_MAP, team.namespace, CHILD)
    await eventually(team.differs(CONFIG_MAP, CHILD, former), "the ConfigMap to come back again")
