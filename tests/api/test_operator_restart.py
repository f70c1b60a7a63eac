"""The operator as a process: restarts, a leader and its follower."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.operating import Operating, operation
from tests.cluster import ApiServer
from tests.support.operator import running_operator
from tests.support.waiting import eventually


@pytest.fixture
async def world(cluster: ApiServer, tmp_path: Path) -> AsyncIterator[Operating]:
    async with operation(cluster, tmp_path) as running:
        yield await running.in_new_namespace()


async def test_a_second_visit_writes_nothing(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    before = await world.versions("support")
    async with world.operator_restarted():
        await eventually(world.visits, "a visit after the restart")
        assert await world.versions("support") == before


async def test_a_follower_takes_over_at_once_when_the_leader_stops(world: Operating) -> None:
    async with running_operator(world.cluster.kubeconfig, world.folder, identity="operator-1", **world.settings) as follower:
        await eventually(lambda: world.operator.metric("mistral_voice_operator_leader"), "the first to lead")
        assert await follower.metric("mistral_voice_operator_leader") == 0
        await world.put_key()
        await world.apply("support")
        await world.condition("support", "Healthy", "True")
        assert await follower.metric("mistral_voice_integration_ready") is None

        async def leads() -> bool:
            return await follower.metric("mistral_voice_operator_leader") == 1

        await world.operator.stop()
        await eventually(leads, "the follower to lead", timeout_seconds=5)
        await eventually(lambda: follower.metric("mistral_voice_integration_info"), "the follower's series")
        await world.apply("second")
        await world.condition("second", "Healthy", "True")


async def test_a_follower_takes_over_within_twenty_seconds_when_the_leader_is_killed(world: Operating) -> None:
    async with running_operator(world.cluster.kubeconfig, world.folder, identity="operator-1", **world.settings) as follower:
        await eventually(lambda: world.operator.metric("mistral_voice_operator_leader"), "the first to lead")
        world.operator.kill()

        async def leads() -> bool:
            return await follower.metric("mistral_voice_operator_leader") == 1

        await eventually(leads, "the follower to lead", timeout_seconds=20)
        await world.put_key()
        await world.apply("support")
        await world.condition("support", "Healthy", "True")


async def test_a_leader_that_loses_its_lease_ends(world: Operating) -> None:
    await eventually(lambda: world.operator.metric("mistral_voice_operator_leader"), "it to lead")
    lease = world.settings["leaderElection"]["leaseName"]
    world.kubectl("patch", "lease", lease, "-n", "default", "--type=merge", "-p", '{"spec":{"holderIdentity":"somebody-else"}}')

    def ended() -> bool:
        return world.operator.process.returncode is not None

    await eventually(ended, "the process to end", timeout_seconds=20)
    assert world.operator.process.returncode == 1
    assert "Leadership is lost" in world.operator.log
