"""Creating, applying, repairing and leaving alone, on a real API server."""

import json
from collections.abc import AsyncIterator, Callable

import pytest

from mistral_voice.kube import resources
from mistral_voice.kube.access import load_access
from mistral_voice.kube.apply import Action, Applier
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import Conflict, Forbidden, NotFound
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.observed import Observed, ObservedWorkload, Reader
from mistral_voice.kube.ownership import Owner
from mistral_voice.kube.resources import Resource
from tests.api.kube.conftest import MARKS
from tests.api.kube.samples import SAMPLES, config_map, deployment, secret, service
from tests.cluster import ApiServer
from tests.support.waiting import eventually

KINDS = pytest.mark.parametrize("resource", [kind for kind in SAMPLES if kind != resources.SECRET], ids=lambda resource: resource.kind)


class Writes:
    """Counts the writes of a client."""

    def __init__(self) -> None:
        self.verbs: list[str] = []

    def __call__(self, verb: str, _resource: str, _code: str, _seconds: float) -> None:
        if verb not in {"get", "list", "watch"}:
            self.verbs.append(verb)


class Bench:
    """An applier and a look at the cluster as its watch would have it."""

    def __init__(self, client: Client, writes: Writes, fields: FieldSets, owner: Owner) -> None:
        self.client = client
        self.writes = writes
        self.owner = owner
        self.reader = Reader(fields, MARKS)
        self.applier = Applier(client, fields, MARKS)

    async def observe(self, resource: Resource, name: str = "sample") -> Observed:
        return self.reader.read(resource, json.dumps(await self.client.get(resource, self.owner.namespace, name)).encode())

    async def ensure(self, resource: Resource, body: KubeObject) -> Action:
        """Reconcile once, as seen from a fresh observation."""
        try:
            observed = await self.observe(resource)
        except NotFound:
            observed = None
        return (await self.applier.ensure(resource, body, self.owner, observed)).action


@pytest.fixture
async def bench(cluster: ApiServer, fields: FieldSets, owner: Owner) -> AsyncIterator[Bench]:
    writes = Writes()
    async with Client(await load_access(cluster.kubeconfig), observe=writes) as client:
        yield Bench(client, writes, fields, owner)


@KINDS
async def test_an_object_is_posted_once_and_then_left_alone_also_after_a_restart(
    resource: Resource, bench: Bench, http_routes: None
) -> None:
    body = SAMPLES[resource](bench.owner.namespace)
    assert await bench.ensure(resource, body) is Action.CREATED
    assert await bench.ensure(resource, body) is Action.UNCHANGED
    restarted = Bench(bench.client, bench.writes, FieldSets(), bench.owner)
    assert await restarted.ensure(resource, body) is Action.UNCHANGED
    assert bench.writes.verbs == ["create"]


@KINDS
async def test_a_label_that_leaves_the_desired_state_leaves_the_object(resource: Resource, bench: Bench, http_routes: None) -> None:
    body = SAMPLES[resource](bench.owner.namespace)
    await bench.ensure(resource, body)
    del body["metadata"]["labels"]["tier"]
    assert await bench.ensure(resource, body) is Action.APPLIED
    assert bench.writes.verbs == ["create", "patch", "apply"]
    present = await bench.client.get(resource, bench.owner.namespace, "sample")
    assert "tier" not in present["metadata"]["labels"]
    assert await bench.ensure(resource, body) is Action.UNCHANGED
    restarted = Bench(bench.client, bench.writes, FieldSets(), bench.owner)
    assert await restarted.ensure(resource, body) is Action.UNCHANGED
    body["metadata"]["labels"]["tier"] = "again"
    assert await bench.ensure(resource, body) is Action.APPLIED
    assert bench.writes.verbs == ["create", "patch", "apply", "apply"]


APPLIED_BEFORE = pytest.mark.parametrize("applied_before", [False, True], ids=["after the POST", "after an apply"])


async def _made(bench: Bench, resource: Resource, body: KubeObject, applied_before: bool) -> None:
    if applied_before:
        await bench.ensure(resource, {**body, "metadata": {**body["metadata"], "annotations": {"example.com/note": "before"}}})
    assert await bench.ensure(resource, body) in {Action.CREATED, Action.APPLIED}


def _relabel(present: KubeObject) -> None:
    present["metadata"]["labels"]["tier"] = "edited"


def _drop_label(present: KubeObject) -> None:
    del present["metadata"]["labels"]["tier"]


def _drop_hash(present: KubeObject) -> None:
    del present["metadata"]["annotations"][MARKS.hash_annotation]


def _drop_owner(present: KubeObject) -> None:
    del present["metadata"]["ownerReferences"]


def _drop_owner_label(present: KubeObject) -> None:
    del present["metadata"]["labels"][MARKS.owner_uid_label]


@KINDS
@APPLIED_BEFORE
@pytest.mark.parametrize(
    "edit", [_relabel, _drop_label, _drop_hash, _drop_owner, _drop_owner_label], ids=lambda edit: edit.__name__.strip("_")
)
async def test_what_a_hand_edit_changes_comes_back(
    resource: Resource, applied_before: bool, edit: Callable[[KubeObject], None], bench: Bench, client: Client, http_routes: None
) -> None:
    body = SAMPLES[resource](bench.owner.namespace)
    await _made(bench, resource, body, applied_before)
    before = await client.get(resource, bench.owner.namespace, "sample")
    edited = json.loads(json.dumps(before))
    edit(edited)
    await client.replace(resource, bench.owner.namespace, "sample", edited, field_manager="kubectl-edit")
    assert await bench.ensure(resource, body) is Action.APPLIED
    after = await client.get(resource, bench.owner.namespace, "sample")
    assert _lasting(after) == _lasting(before)
    assert await bench.ensure(resource, body) is Action.UNCHANGED


def _lasting(present: KubeObject) -> KubeObject:
    metadata = {key: value for key, value in present["metadata"].items() if key not in {"managedFields", "resourceVersion", "generation"}}
    return {**present, "metadata": metadata}


def _image(pod: KubeObject) -> None:
    pod["containers"][0]["image"] = "localhost/other:2"


def _argument(pod: KubeObject) -> None:
    pod["containers"][0]["args"].append("--debug")


def _environment(pod: KubeObject) -> None:
    del pod["containers"][0]["env"][0]


def _port(pod: KubeObject) -> None:
    del pod["containers"][0]["ports"][1]


def _volume(pod: KubeObject) -> None:
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "tmp"]
    pod["containers"][0]["volumeMounts"] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] != "tmp"]


def _selector(pod: KubeObject) -> None:
    pod["nodeSelector"] = {"kubernetes.io/os": "windows"}


@APPLIED_BEFORE
@pytest.mark.parametrize("edit", [_image, _argument, _environment, _port, _volume, _selector], ids=lambda edit: edit.__name__.strip("_"))
async def test_a_value_or_list_item_that_is_edited_in_a_pod_template_comes_back(
    applied_before: bool, edit: Callable[[KubeObject], None], bench: Bench, client: Client
) -> None:
    body = deployment(bench.owner.namespace)
    await _made(bench, resources.DEPLOYMENT, body, applied_before)
    before = await client.get(resources.DEPLOYMENT, bench.owner.namespace, "sample")
    edited = json.loads(json.dumps(before))
    edit(edited["spec"]["template"]["spec"])
    await client.replace(resources.DEPLOYMENT, bench.owner.namespace, "sample", edited, field_manager="kubectl-edit")
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.APPLIED
    after = await client.get(resources.DEPLOYMENT, bench.owner.namespace, "sample")
    assert after["spec"] == before["spec"]


@APPLIED_BEFORE
async def test_defaulted_fields_and_those_of_others_stay_alone(applied_before: bool, bench: Bench, client: Client) -> None:
    body = deployment(bench.owner.namespace)
    await _made(bench, resources.DEPLOYMENT, body, applied_before)
    patch = {
        "metadata": {"labels": {"team": "a"}, "annotations": {"deployment.kubernetes.io/revision": "3"}},
        "spec": {"template": {"spec": {"dnsPolicy": "Default", "schedulerName": "other"}}},
    }
    await client.merge_patch(resources.DEPLOYMENT, bench.owner.namespace, "sample", patch, field_manager="kubectl-patch")
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.UNCHANGED
    body["metadata"]["labels"]["tier"] = "changed"
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.APPLIED
    present = await client.get(resources.DEPLOYMENT, bench.owner.namespace, "sample")
    assert present["metadata"]["labels"]["team"] == "a"
    assert present["spec"]["template"]["spec"]["schedulerName"] == "other"


@APPLIED_BEFORE
async def test_items_that_leave_the_desired_pod_leave_the_deployment(applied_before: bool, bench: Bench, client: Client) -> None:
    body = deployment(bench.owner.namespace)
    await _made(bench, resources.DEPLOYMENT, body, applied_before)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["env"] = container["env"][:2]
    container["ports"] = container["ports"][:1]
    del container["livenessProbe"]
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.APPLIED
    present = (await client.get(resources.DEPLOYMENT, bench.owner.namespace, "sample"))["spec"]["template"]["spec"]["containers"][0]
    assert [variable["name"] for variable in present["env"]] == ["PLAIN", "POD_IP"]
    assert [port["name"] for port in present["ports"]] == ["http"]
    assert "livenessProbe" not in present


@APPLIED_BEFORE
async def test_replicas_are_let_go_once_an_autoscaler_has_them(applied_before: bool, bench: Bench, client: Client) -> None:
    body = deployment(bench.owner.namespace)
    await _made(bench, resources.DEPLOYMENT, body, applied_before)
    observed = await bench.observe(resources.DEPLOYMENT)
    assert isinstance(observed, ObservedWorkload)
    assert observed.replicas_managers == ()
    await client.merge_patch(
        resources.DEPLOYMENT, bench.owner.namespace, "sample", {"spec": {"replicas": 4}}, subresource="scale", field_manager="autoscaler"
    )
    observed = await bench.observe(resources.DEPLOYMENT)
    assert isinstance(observed, ObservedWorkload)
    assert observed.replicas_managers == ("autoscaler",)
    released = {**body, "spec": {key: value for key, value in body["spec"].items() if key != "replicas"}}
    assert await bench.ensure(resources.DEPLOYMENT, released) is Action.APPLIED
    assert await bench.ensure(resources.DEPLOYMENT, released) is Action.UNCHANGED
    assert (await client.get(resources.DEPLOYMENT, bench.owner.namespace, "sample"))["spec"]["replicas"] == 4
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.APPLIED
    assert (await client.get(resources.DEPLOYMENT, bench.owner.namespace, "sample"))["spec"]["replicas"] == 2


@pytest.mark.parametrize("with_our_label", [False, True])
async def test_an_object_of_somebody_else_is_left_untouched(with_our_label: bool, bench: Bench, client: Client) -> None:
    foreign = config_map(bench.owner.namespace)
    if with_our_label:
        foreign["metadata"]["labels"][MARKS.owner_uid_label] = bench.owner.uid
        foreign["metadata"]["ownerReferences"] = [Owner("apps/v1", "Deployment", bench.owner.namespace, "other", "u-2").reference()]
    made = await client.create(resources.CONFIG_MAP, bench.owner.namespace, foreign, field_manager="kubectl-create")
    outcome = await bench.applier.ensure(resources.CONFIG_MAP, config_map(bench.owner.namespace), bench.owner, None)
    assert outcome.action is Action.NAME_TAKEN
    whose = "belongs to Deployment other" if with_our_label else "was made by kubectl-create"
    assert f"ConfigMap {bench.owner.namespace}/sample already exists and {whose}." in outcome.message
    assert await client.get(resources.CONFIG_MAP, bench.owner.namespace, "sample") == made


async def test_an_object_that_was_deleted_unseen_is_made_anew_by_a_post(bench: Bench, client: Client) -> None:
    body = config_map(bench.owner.namespace)
    await bench.ensure(resources.CONFIG_MAP, body)
    stale = await bench.observe(resources.CONFIG_MAP)
    await client.delete(resources.CONFIG_MAP, bench.owner.namespace, "sample")
    body["data"]["more"] = "1"
    outcome = await bench.applier.ensure(resources.CONFIG_MAP, body, bench.owner, stale)
    assert outcome.action is Action.CREATED
    assert bench.writes.verbs[-1] == "create"


async def test_an_object_that_another_took_the_name_of_unseen_is_left_untouched(bench: Bench, client: Client) -> None:
    body = config_map(bench.owner.namespace)
    await bench.ensure(resources.CONFIG_MAP, body)
    stale = await bench.observe(resources.CONFIG_MAP)
    await client.delete(resources.CONFIG_MAP, bench.owner.namespace, "sample")
    foreign = await client.create(resources.CONFIG_MAP, bench.owner.namespace, config_map(bench.owner.namespace), field_manager="somebody")
    body["data"]["more"] = "1"
    assert (await bench.applier.ensure(resources.CONFIG_MAP, body, bench.owner, stale)).action is Action.NAME_TAKEN
    assert await client.get(resources.CONFIG_MAP, bench.owner.namespace, "sample") == foreign


async def test_an_object_on_its_way_out_is_waited_for(bench: Bench, client: Client) -> None:
    body = config_map(bench.owner.namespace)
    body["metadata"]["finalizers"] = ["example.com/wait"]
    await bench.ensure(resources.CONFIG_MAP, body)
    await client.delete(resources.CONFIG_MAP, bench.owner.namespace, "sample")
    assert await bench.ensure(resources.CONFIG_MAP, body) is Action.TERMINATING


async def test_a_field_that_is_fixed_once_set_is_refused_with_a_sentence(bench: Bench) -> None:
    body = deployment(bench.owner.namespace)
    await bench.ensure(resources.DEPLOYMENT, body)
    body["spec"]["selector"] = {"matchLabels": {"tier": "gateway"}}
    outcome = await bench.applier.ensure(resources.DEPLOYMENT, body, bench.owner, await bench.observe(resources.DEPLOYMENT))
    assert outcome.action is Action.REFUSED
    assert outcome.message == (
        f"Deployment {bench.owner.namespace}/sample can't be changed: spec.selector is fixed once set. Delete it to have it made anew."
    )


@pytest.mark.parametrize("value", ["a lot", "-1"])
async def test_a_value_that_the_server_does_not_accept_is_refused_with_its_sentence(value: str, bench: Bench) -> None:
    body = deployment(bench.owner.namespace)
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] = {"cpu": value}
    outcome = await bench.applier.ensure(resources.DEPLOYMENT, body, bench.owner, None)
    assert outcome.action is Action.REFUSED
    assert f"Deployment {bench.owner.namespace}/sample is not accepted: " in outcome.message
    assert "quantities must match" in outcome.message or "must be greater than or equal to 0" in outcome.message


async def test_a_quota_raises_what_a_later_attempt_may_cure(bench: Bench, client: Client) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"count/services": "0"}}}
    made = await client.create(resources.RESOURCE_QUOTA, bench.owner.namespace, quota)
    made["status"] = {"hard": {"count/services": "0"}, "used": {"count/services": "0"}}
    await client.replace(resources.RESOURCE_QUOTA, bench.owner.namespace, "none", made, subresource="status")

    async def counts() -> bool:
        trial = service(bench.owner.namespace, "trial")
        try:
            await client.apply(resources.SERVICE, bench.owner.namespace, "trial", trial, field_manager="asking", dry_run=True)
        except Forbidden:
            return True
        return False

    # The API server hears of the quota's own status a moment later.
    await eventually(counts, "the quota to be in force")
    with pytest.raises(Forbidden, match="exceeded quota"):
        await bench.applier.ensure(resources.SERVICE, service(bench.owner.namespace), bench.owner, None)


async def test_only_the_orphan_that_was_looked_at_is_deleted(bench: Bench, client: Client) -> None:
    await bench.ensure(resources.CONFIG_MAP, config_map(bench.owner.namespace))
    stale = await bench.observe(resources.CONFIG_MAP)
    await client.merge_patch(resources.CONFIG_MAP, bench.owner.namespace, "sample", {"data": {"x": "y"}})
    with pytest.raises(Conflict):
        await bench.applier.delete(resources.CONFIG_MAP, stale, bench.owner)
    fresh = await bench.observe(resources.CONFIG_MAP)
    other = Owner("v1", "ConfigMap", bench.owner.namespace, "other", "u-9")
    assert not await bench.applier.delete(resources.CONFIG_MAP, fresh, other)
    assert await bench.applier.delete(resources.CONFIG_MAP, fresh, bench.owner)
    assert not await bench.applier.delete(resources.CONFIG_MAP, fresh, bench.owner)


async def test_a_copy_that_somebody_made_of_an_object_of_ours_is_not_deleted(bench: Bench, client: Client) -> None:
    await bench.ensure(resources.CONFIG_MAP, config_map(bench.owner.namespace))
    ours = await client.get(resources.CONFIG_MAP, bench.owner.namespace, "sample")
    metadata = {"name": "copy", "labels": ours["metadata"]["labels"], "annotations": ours["metadata"]["annotations"]}
    await client.create(resources.CONFIG_MAP, bench.owner.namespace, {**config_map(bench.owner.namespace), "metadata": metadata})
    assert not await bench.applier.delete(resources.CONFIG_MAP, await bench.observe(resources.CONFIG_MAP, "copy"), bench.owner)
    await client.merge_patch(resources.CONFIG_MAP, bench.owner.namespace, "sample", {"metadata": {"ownerReferences": None}})
    assert await bench.applier.delete(resources.CONFIG_MAP, await bench.observe(resources.CONFIG_MAP), bench.owner)


async def test_a_service_keeps_its_address_through_every_apply(bench: Bench, client: Client) -> None:
    body = service(bench.owner.namespace)
    await bench.ensure(resources.SERVICE, body)
    made = await client.get(resources.SERVICE, bench.owner.namespace, "sample")
    body["spec"]["ports"] = body["spec"]["ports"][:1]
    assert await bench.ensure(resources.SERVICE, body) is Action.APPLIED
    present = await client.get(resources.SERVICE, bench.owner.namespace, "sample")
    assert [port["name"] for port in present["spec"]["ports"]] == ["http"]
    assert present["spec"]["clusterIP"] == made["spec"]["clusterIP"]


async def test_a_secret_is_made_once_and_its_values_are_never_restored(bench: Bench, client: Client) -> None:
    namespace = bench.owner.namespace
    body = secret(namespace)
    assert (await bench.applier.ensure_secret(body, bench.owner, None)).action is Action.CREATED
    edit = {"data": {"token": "ZWRpdGVk"}, "metadata": {"labels": {"tier": None}, "ownerReferences": None}}
    await client.merge_patch(resources.SECRET, namespace, "sample", edit)
    body["data"]["previousToken"] = "b2xk"
    present = await client.get(resources.SECRET, namespace, "sample")
    assert (await bench.applier.ensure_secret(body, bench.owner, present)).action is Action.APPLIED
    present = await client.get(resources.SECRET, namespace, "sample")
    assert present["data"] == {"token": "ZWRpdGVk", "previousToken": "b2xk"}
    assert present["metadata"]["labels"]["tier"] == "gateway"
    assert present["metadata"]["ownerReferences"][0]["uid"] == bench.owner.uid
    assert (await bench.applier.ensure_secret(body, bench.owner, present)).action is Action.UNCHANGED


async def test_a_foreign_secret_is_left_untouched_and_its_values_stay_unsaid(bench: Bench, client: Client) -> None:
    made = await client.create(resources.SECRET, bench.owner.namespace, secret(bench.owner.namespace), field_manager="somebody")
    outcome = await bench.applier.ensure_secret(secret(bench.owner.namespace), bench.owner, None)
    assert outcome.action is Action.NAME_TAKEN
    assert "dG9rZW4=" not in outcome.message
    assert await client.get(resources.SECRET, bench.owner.namespace, "sample") == made


async def test_a_shape_that_the_server_keeps_otherwise_is_learned_instead_of_written_for_ever(bench: Bench) -> None:
    body = deployment(bench.owner.namespace)
    body["spec"]["template"]["spec"]["hostNetwork"] = False
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.CREATED
    assert await bench.ensure(resources.DEPLOYMENT, body) is Action.UNCHANGED
