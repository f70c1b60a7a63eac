"""Watches of a real API server, also through its interruptions."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from mistral_voice.kube import resources
from mistral_voice.kube.access import Access, load_access
from mistral_voice.kube.apply import Action, Applier
from mistral_voice.kube.client import Client
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.observed import Observed, ObservedWorkload, Reader
from mistral_voice.kube.ownership import Owner
from mistral_voice.kube.resources import Resource
from mistral_voice.kube.watch import Watch, Watches
from mistral_voice.kube.workqueue import Backoff
from tests.api.kube.conftest import MARKS
from tests.api.kube.proxy import Proxy
from tests.api.kube.samples import HTTP_ROUTE_CRD, config_map, deployment
from tests.cluster import ApiServer
from tests.support.waiting import eventually

SELECTOR = "tier=gateway"


class Changes:
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def __call__(self, observed: Observed, deleted: bool) -> None:
        self.seen.append((observed.name, deleted))


@asynccontextmanager
async def running(watch: Watch | Watches) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture
def make(client: Client, fields: FieldSets, namespace: str) -> Callable[..., Watch]:
    def make(
        resource: Resource = resources.CONFIG_MAP, changes: Changes | None = None, through: Client = client, **options: object
    ) -> Watch:
        reader = Reader(fields, MARKS)
        options = {"namespaces": [namespace], "backoff": Backoff(base_seconds=0.05, max_seconds=0.2), **options}
        return Watch(through, resource, reader, changes or Changes(), label_selector=SELECTOR, **options)  # type: ignore[arg-type]

    return make


def _names(watch: Watch) -> set[str]:
    return {observed.name for observed in watch.objects}


def _has(watch: Watch, name: str) -> bool:
    return name in _names(watch)


async def test_what_was_there_and_what_comes_is_followed(make: Callable[..., Watch], client: Client, namespace: str) -> None:
    await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, "before"))
    changes = Changes()
    watch = make(changes=changes)
    async with running(watch):
        await watch.synced.wait()
        assert _names(watch) == {"before"}
        await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, "after"))
        await eventually(lambda: _names(watch) == {"before", "after"}, "the new object")
        await client.merge_patch(resources.CONFIG_MAP, namespace, "before", {"metadata": {"labels": {"tier": None}}})
        await eventually(lambda: _names(watch) == {"after"}, "the object that lost its label to go")
        await client.delete(resources.CONFIG_MAP, namespace, "after")
        await eventually(lambda: not _names(watch), "the deletion")
    assert changes.seen == [("before", False), ("after", False), ("before", True), ("after", True)]
    assert watch.problem == ""
    assert watch.age_seconds() < 30


async def test_long_lists_come_page_by_page(make: Callable[..., Watch], client: Client, namespace: str) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(client.create(resources.CONFIG_MAP, namespace, config_map(namespace, f"c{number}")))
    pages = [page async for page in client.pages(resources.CONFIG_MAP, namespace, label_selector=SELECTOR, page_size=25)]
    assert [len(page.items) for page in pages] == [25, 25, 10]
    assert len({page.resource_version for page in pages}) == 1
    watch = make()
    async with running(watch):
        await watch.synced.wait()
        assert len(watch.objects) == 60


async def test_our_own_writes_are_known_but_not_told(
    make: Callable[..., Watch], client: Client, fields: FieldSets, namespace: str, owner: Owner
) -> None:
    changes, workloads = Changes(), Changes()
    watches = Watches([make(changes=changes), make(resources.DEPLOYMENT, workloads)])
    applier = Applier(client, fields, MARKS, notice=watches)
    async with running(watches):
        await watches.synced()
        body = config_map(namespace)
        await applier.ensure(resources.CONFIG_MAP, body, owner, None)
        await applier.ensure(resources.DEPLOYMENT, deployment(namespace), owner, None)
        (observed,) = watches.of_owner(owner.uid, owner.namespace)[resources.CONFIG_MAP]
        body["data"]["more"] = "1"
        outcome = await applier.ensure(resources.CONFIG_MAP, body, owner, observed)
        assert outcome.action is Action.APPLIED
        (observed,) = watches.of_owner(owner.uid, owner.namespace)[resources.CONFIG_MAP]
        assert observed == outcome.observed
        assert (await applier.ensure(resources.CONFIG_MAP, body, owner, observed)).action is Action.UNCHANGED
        await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, "by-another"))
        await eventually(lambda: changes.seen, "the other's object")
        (workload,) = watches.of_owner(owner.uid, owner.namespace)[resources.DEPLOYMENT]
        assert isinstance(workload, ObservedWorkload)
        assert workload.wanted_replicas == 2
    assert changes.seen == [("by-another", False)]
    assert workloads.seen == []


async def test_a_deployments_roll_out_is_read_from_its_status(make: Callable[..., Watch], client: Client, namespace: str) -> None:
    made = await client.create(resources.DEPLOYMENT, namespace, deployment(namespace))
    watch = make(resources.DEPLOYMENT)
    async with running(watch):
        await watch.synced.wait()
        (workload,) = watch.objects
        assert isinstance(workload, ObservedWorkload)
        assert workload.updated_replicas == 0
        conditions = [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "ok"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"},
        ]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
        made["status"] = {"observedGeneration": made["metadata"]["generation"], **counts, "conditions": conditions}
        await client.replace(resources.DEPLOYMENT, namespace, "sample", made, subresource="status")

        def updated() -> bool:
            (workload,) = watch.objects
            return isinstance(workload, ObservedWorkload) and workload.updated_replicas == 2

        await eventually(updated, "the roll-out to be over")
        (workload,) = watch.objects
        assert isinstance(workload, ObservedWorkload)
        assert (workload.replicas, workload.ready_replicas) == (2, 2)
        assert workload.observed_generation == workload.generation
        assert [(trouble.type, trouble.reason) for trouble in workload.troubles] == [("ReplicaFailure", "FailedCreate")]


@pytest.fixture
async def proxied(cluster: ApiServer) -> AsyncIterator[tuple[Proxy, Client]]:
    access = await load_access(cluster.kubeconfig)
    async with Proxy(access) as proxy, Client(Access(proxy.url, access.tls, access.credentials, access.namespace)) as client:
        yield proxy, client


async def test_what_is_deleted_while_the_watch_is_down_is_noticed(
    make: Callable[..., Watch], client: Client, namespace: str, proxied: tuple[Proxy, Client]
) -> None:
    proxy, through = proxied
    for name in ("stays", "goes"):
        await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, name))
    changes = Changes()
    watch = make(changes=changes, through=through)
    async with running(watch):
        await watch.synced.wait()
        proxy.cut()
        await eventually(lambda: watch.problem, "the outage to be noticed")
        await client.delete(resources.CONFIG_MAP, namespace, "goes")
        await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, "comes"))
        proxy.mend()
        await eventually(lambda: _names(watch) == {"stays", "comes"}, "the watch to catch up")
        assert changes.seen[-2:] == [("goes", True), ("comes", False)]
        await eventually(lambda: watch.problem == "", "the problem to be over")


async def test_a_version_that_is_too_old_leads_to_a_new_list_that_shows_the_deletions(
    make: Callable[..., Watch], client: Client, namespace: str, proxied: tuple[Proxy, Client]
) -> None:
    proxy, through = proxied
    await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, "goes"))
    changes = Changes()
    watch = make(changes=changes, through=through)
    async with running(watch):
        await watch.synced.wait()
        proxy.cut()
        await eventually(lambda: watch.problem, "the outage to be noticed")
        await client.delete(resources.CONFIG_MAP, namespace, "goes")
        proxy.forget_versions()
        proxy.mend()
        await eventually(lambda: changes.seen[-1] == ("goes", True), "the deletion")
        assert proxy.gone_answers > 0


async def test_a_sweep_finds_what_the_watch_did_not_tell(make: Callable[..., Watch], client: Client, namespace: str) -> None:
    await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, "there"))
    changes = Changes()
    watch = make(changes=changes, sweep_seconds=1.0)
    async with running(watch):
        await watch.synced.wait()
        watch.objects.seen(Observed(namespace=namespace, name="ghost", uid="u-ghost", resource_version="1"))
        await eventually(lambda: changes.seen[-1] == ("ghost", True), "the sweep")
    assert _names(watch) == {"there"}


async def test_a_kind_that_is_not_installed_is_no_error_and_found_when_it_comes(
    make: Callable[..., Watch], client: Client, namespace: str
) -> None:
    resource = Resource("routes.example.com", "v1", "httproutes", "HTTPRoute")
    watch = make(resource, absent_seconds=0.1)
    async with running(watch):
        await watch.synced.wait()
        assert watch.absent
        assert watch.problem == ""
        spec = {**HTTP_ROUTE_CRD["spec"], "group": resource.group}
        crd = {**HTTP_ROUTE_CRD, "metadata": {"name": f"httproutes.{resource.group}"}, "spec": spec}
        await client.create(resources.CUSTOM_RESOURCE_DEFINITION, None, crd)
        await eventually(lambda: not watch.absent, "the kind to be found")
        body = {"apiVersion": resource.api_version, "kind": "HTTPRoute", "metadata": {"name": "r", "labels": {"tier": "gateway"}}}
        await client.create(resource, namespace, body)
        await eventually(lambda: _names(watch) == {"r"}, "its object")
        await client.delete(resources.CUSTOM_RESOURCE_DEFINITION, None, f"httproutes.{resource.group}")
        await eventually(lambda: watch.absent and not _names(watch), "the kind to be missed")


async def test_a_missing_right_is_a_problem_that_is_said(make: Callable[..., Watch], cluster: ApiServer, namespace: str) -> None:
    async with Client(await load_access(cluster.kubeconfig_for_user("nobody"))) as nobody:
        watch = make(through=nobody)
        async with running(watch):
            await eventually(lambda: watch.problem, "the refusal")
            assert 'User "nobody" cannot list resource "configmaps"' in watch.problem
            assert not watch.synced.is_set()


async def test_streams_that_end_as_agreed_are_taken_up_again(make: Callable[..., Watch], client: Client, namespace: str) -> None:
    watch = make(stream_seconds=(1.0, 1.0))
    async with running(watch):
        await watch.synced.wait()
        for name in ("a", "b", "c", "d"):
            await client.create(resources.CONFIG_MAP, namespace, config_map(namespace, name))
            await eventually(partial(_has, watch, name), f"object {name}")
            await eventually(lambda: watch.age_seconds() > 0.6, "the stream to have been silent for a while")
    assert watch.problem == ""
