"""Electors on a real API server: one leader at a time, through stops, crashes and outages."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from mistral_voice.kube import resources
from mistral_voice.kube.access import Access, load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import LeadershipLost, NotLeader
from mistral_voice.kube.lease import LeaderElector, LeaseTiming
from tests.api.kube.proxy import Proxy
from tests.api.kube.samples import config_map
from tests.cluster import ApiServer
from tests.support.waiting import eventually

LONG = LeaseTiming(lease_seconds=60, renew_deadline_seconds=40.0, retry_seconds=1.0)
SHORT = LeaseTiming(lease_seconds=2, renew_deadline_seconds=1.2, retry_seconds=0.2)


def _elector(client: Client, namespace: str, identity: str, timing: LeaseTiming = LONG) -> LeaderElector:
    return LeaderElector(client, namespace=namespace, name="leader", identity=identity, timing=timing)


async def _for_ever() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def running(elector: LeaderElector) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(elector.run(_for_ever))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_follower_takes_over_at_once_after_a_clean_stop(client: Client, namespace: str) -> None:
    first, second = _elector(client, namespace, "first"), _elector(client, namespace, "second")
    async with running(first) as leading:
        await eventually(first.is_leader, "the first to lead")
        async with running(second):
            await eventually(lambda: second.holder == "first", "the second to follow")
            began = asyncio.get_running_loop().time()
            leading.cancel()
            await eventually(second.is_leader, "the second to lead")
            assert asyncio.get_running_loop().time() - began < 50, "not by expiry, which takes a minute here"
            assert not first.is_leader()
            lease = await client.get(resources.LEASE, namespace, "leader")
            assert lease["spec"]["holderIdentity"] == "second"
            assert lease["spec"]["leaseTransitions"] == second.transitions == 1


async def test_a_lease_that_is_deleted_is_made_again_by_its_holder(client: Client, namespace: str) -> None:
    elector = _elector(client, namespace, "only", LeaseTiming(lease_seconds=60, renew_deadline_seconds=40, retry_seconds=0.05))
    async with running(elector):
        await eventually(elector.is_leader, "it to lead")
        made = await client.get(resources.LEASE, namespace, "leader")
        await client.delete(resources.LEASE, namespace, "leader")

        async def made_again() -> bool:
            leases = await client.list_all(resources.LEASE, namespace)
            return [lease["metadata"]["uid"] for lease in leases] not in ([], [made["metadata"]["uid"]])

        await eventually(made_again, "the lease to be there again")
        assert elector.is_leader()


async def test_leading_ends_with_an_error_when_another_takes_the_lease(client: Client, namespace: str) -> None:
    elector = _elector(client, namespace, "robbed", LeaseTiming(lease_seconds=60, renew_deadline_seconds=40, retry_seconds=0.05))
    ended = asyncio.Event()

    async def lead() -> None:
        try:
            await _for_ever()
        finally:
            assert not elector.is_leader()
            ended.set()

    task = asyncio.create_task(elector.run(lead))
    await eventually(elector.is_leader, "it to lead")
    await client.merge_patch(resources.LEASE, namespace, "leader", {"spec": {"holderIdentity": "robber"}})
    with pytest.raises(LeadershipLost, match="held by robber now"):
        await task
    assert ended.is_set()
    assert (await client.get(resources.LEASE, namespace, "leader"))["spec"]["holderIdentity"] == "robber"


async def test_what_the_leader_raises_is_raised_and_the_lease_released(client: Client, namespace: str) -> None:
    async def lead() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await _elector(client, namespace, "first").run(lead)
    assert (await client.get(resources.LEASE, namespace, "leader"))["spec"]["holderIdentity"] == ""


async def test_writes_behind_the_fence_end_with_leadership(client: Client, namespace: str) -> None:
    elector = _elector(client, namespace, "first")
    fenced = client.fenced(elector)
    with pytest.raises(NotLeader, match="Held back, as this process leads no longer: create configmaps"):
        await fenced.create(resources.CONFIG_MAP, namespace, config_map(namespace))
    async with running(elector):
        await eventually(elector.is_leader, "it to lead")
        await fenced.create(resources.CONFIG_MAP, namespace, config_map(namespace))
    with pytest.raises(NotLeader):
        await fenced.delete(resources.CONFIG_MAP, namespace, "sample")
    assert await fenced.get(resources.CONFIG_MAP, namespace, "sample")


@asynccontextmanager
async def _proxied(cluster: ApiServer) -> AsyncIterator[tuple[Proxy, Client]]:
    access = await load_access(cluster.kubeconfig)
    async with Proxy(access) as proxy, Client(Access(proxy.url, access.tls, access.credentials, access.namespace)) as client:
        yield proxy, client


async def test_a_leader_that_is_cut_off_stops_before_a_follower_begins(cluster: ApiServer, client: Client, namespace: str) -> None:
    async with _proxied(cluster) as (proxy, through):
        first, second = _elector(through, namespace, "first", SHORT), _elector(client, namespace, "second", SHORT)
        async with running(first) as leading:
            await eventually(first.is_leader, "the first to lead")
            async with running(second):
                # On a machine that stands still for longer than the deadline the first has lost its lease already.
                await eventually(lambda: second.holder == "first" or leading.done(), "the second to follow")
                proxy.cut()

                def second_leads() -> bool:
                    assert not (first.is_leader() and second.is_leader())
                    return second.is_leader()

                await eventually(second_leads, "the second to lead", every_seconds=0.005)
                await eventually(leading.done, "the first to end")
                with pytest.raises(LeadershipLost, match="could not be renewed for"):
                    leading.result()


async def test_there_are_never_two_leaders_through_random_outages_and_stops(cluster: ApiServer, namespace: str) -> None:
    """Three candidates that come and go; whoever thinks to lead writes it down, twice, and nobody may come in between."""
    chance = random.Random(7)
    record: list[tuple[str, str]] = []
    electors: dict[str, LeaderElector] = {}
    reigns = 0

    def leading() -> list[str]:
        return [name for name, elector in electors.items() if elector.is_leader()]

    async def candidate(number: int, through: Client) -> None:
        nonlocal reigns
        life = 0
        while True:
            life += 1
            elector = electors[f"{number}.{life}"] = _elector(through, namespace, f"{number}.{life}", SHORT)

            async def lead(elector: LeaderElector = elector, name: str = f"{number}.{life}") -> None:
                nonlocal reigns
                reigns += 1
                end = asyncio.get_running_loop().time() + chance.uniform(0.5, 3)
                while asyncio.get_running_loop().time() < end:
                    if elector.is_leader():
                        # Asked at this very moment: a loop that was held up must not make a leader of the past count.
                        assert leading() == [name]
                        record.append((name, "writes"))
                    await asyncio.sleep(0.005)

            try:
                await elector.run(lead)
            except LeadershipLost:
                record.append((f"{number}.{life}", "lost"))

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        ways = [await stack.enter_async_context(_proxied(cluster)) for _ in range(3)]
        tasks = [group.create_task(candidate(number, through)) for number, (_, through) in enumerate(ways)]
        for _ in range(6):
            holder = (await eventually(leading, "a leader"))[0]
            proxy = ways[int(holder.split(".")[0])][0]
            proxy.cut()
            await eventually(lambda: [one for one in leading() if one.split(".")[0] != holder.split(".")[0]], "another to lead")  # noqa: B023
            proxy.mend()
        for task in tasks:
            task.cancel()
    assert reigns >= 6
    assert len({name.split(".")[0] for name, _ in record}) > 1
