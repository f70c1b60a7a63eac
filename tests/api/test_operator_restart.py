"""The operator as a process: restarts, a leader and its follower."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mistral_voice.kube.resources import DEPLOYMENT, SECRET
from tests.api.operating import Operating, operating_alone
from tests.cluster import ApiServer
from tests.support.operator import OperatorProcess, running_operator
from tests.support.waiting import eventually

PATIENT = {"leaseDurationSeconds": 300, "renewDeadlineSeconds": 200}
"""A follower that waits for such a lease to lapse is not seen to lead by any test."""
QUICK = {"leaseDurationSeconds": 10, "renewDeadlineSeconds": 9, "retryPeriodSeconds": 0.5}


@pytest.fixture
async def world(cluster: ApiServer, tmp_path: Path) -> AsyncIterator[Operating]:
    async with operating_alone(cluster, tmp_path) as world:
        yield world


@contextlib.asynccontextmanager
async def followed(world: Operating) -> AsyncIterator[OperatorProcess]:
    """Run a second operator, which follows since the first leads already."""
    await eventually(lambda: world.operator.metric("mistral_voice_operator_leader"), "the first to lead")
    async with running_operator(world.cluster.kubeconfig, world.folder, identity="operator-1", **world.settings) as follower:
        yield follower


async def test_a_second_visit_writes_nothing(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    before = await world.versions("support")
    async with world.operator_restarted():
        await eventually(world.visits, "a visit after the restart")
        assert await world.versions("support") == before


async def test_a_follower_takes_over_at_once_when_the_leader_stops(cluster: ApiServer, tmp_path: Path) -> None:
    async with operating_alone(cluster, tmp_path, leaderElection=PATIENT) as world, followed(world) as follower:
        assert await follower.metric("mistral_voice_operator_leader") == 0
        await world.put_key()
        await world.apply("support")
        await world.condition("support", "Healthy", "True")
        assert await follower.metric("mistral_voice_integration_ready") is None

        async def leads() -> bool:
            return await follower.metric("mistral_voice_operator_leader") == 1

        await world.operator.stop()
        await eventually(leads, "the follower to lead")
        await eventually(lambda: follower.metric("mistral_voice_integration_info"), "the follower's series")
        await world.apply("second")
        await world.condition("second", "Healthy", "True")


async def test_a_follower_takes_over_when_the_leader_is_killed(cluster: ApiServer, tmp_path: Path) -> None:
    async with operating_alone(cluster, tmp_path, leaderElection=QUICK) as world, followed(world) as follower:
        world.operator.kill()

        async def leads() -> bool:
            return await follower.metric("mistral_voice_operator_leader") == 1

        await eventually(leads, "the follower to lead")
        await world.put_key()
        await world.apply("support")
        await world.condition("support", "Healthy", "True")


async def test_a_leader_that_loses_its_lease_ends(world: Operating) -> None:
    await eventually(lambda: world.operator.metric("mistral_voice_operator_leader"), "it to lead")
    lease = world.settings["leaderElection"]["leaseName"]
    world.kubectl("patch", "lease", lease, "-n", "default", "--type=merge", "-p", '{"spec":{"holderIdentity":"somebody-else"}}')

    def ended() -> bool:
        return world.operator.process.returncode is not None

    await eventually(ended, "the process to end")
    assert world.operator.process.returncode == 1
    assert "Leadership is lost" in world.operator.log


async def test_an_upgrade_of_the_operator_rolls_out_one_gateway_at_a_time(cluster: ApiServer, tmp_path: Path) -> None:
    async with operating_alone(cluster, tmp_path, rolloutPace=1) as world:
        names = ["one", "two", "three"]
        await world.put_key()
        for name in names:
            await world.apply(name)
        for name in names:
            await world.pretend_pods(name, ready=1)
            await world.condition(name, "Ready", "True")
        await world.operator.stop()
        upgraded = {**world.settings, "image": "mistral-voice-operator:next"}
        async with running_operator(cluster.kubeconfig, world.folder, identity="operator-1", **upgraded) as operator:
            for number in (1, 2, 3):

                async def so_many(number: int = number) -> bool:
                    waiting = await operator.metric("mistral_voice_operator_rollouts_pending")
                    return len(await on_next_image(world, names)) == number and waiting == len(names) - number

                await eventually(so_many, f"{number} gateways on the new image and the others waiting")
                for name in await on_next_image(world, names):
                    await world.pretend_pods(name, ready=1)


async def on_next_image(world: Operating, names: list[str]) -> list[str]:
    deployments = [await world.client.get(DEPLOYMENT, world.namespace, f"{name}-voice") for name in names]
    images = [deployment["spec"]["template"]["spec"]["containers"][0]["image"] for deployment in deployments]
    return [name for name, image in zip(names, images, strict=True) if image.endswith(":next")]


async def test_a_token_that_was_deleted_meanwhile_heals_with_the_next_health_check(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", healthCheck={"intervalSeconds": 10})
    await world.condition("support", "Healthy", "True")
    await world.operator.stop()
    await world.client.delete(SECRET, world.namespace, "support-voice-token")
    async with running_operator(world.cluster.kubeconfig, world.folder, identity="operator-1", **world.settings):
        await eventually(world.exists(SECRET, "support-voice-token"), "the token to come back")
