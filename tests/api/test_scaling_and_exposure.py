"""What comes when asked: autoscaling, an HTTPRoute, an Ingress, TLS, a token of one's own; and what a change of mind takes away."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mistral_voice.kube.resources import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, INGRESS, SECRET
from tests.api.operating import Operating, Operation, operating_alone, operation
from tests.cluster import ApiServer, api_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
AUTOSCALING = {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operation]:
    async with operation(cluster, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Operation) -> Operating:
    return await running.in_new_namespace()


async def scale(world: Operating, replicas: int) -> None:
    """Set the Deployment's replicas as an autoscaler does."""
    patch = {"spec": {"replicas": replicas}}
    await world.client.merge_patch(
        DEPLOYMENT, world.namespace, "support-voice", patch, field_manager="horizontal-pod-autoscaler", subresource="scale"
    )


async def visited(world: Operating) -> None:
    """Cause a visit and wait for what shows it."""
    await world.client.delete(CONFIG_MAP, world.namespace, "support-voice")
    await eventually(world.exists(CONFIG_MAP, "support-voice"), "the ConfigMap to come back")


async def test_an_autoscaler_owns_the_replicas_once_it_has_set_them(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", gateway=AUTOSCALING)
    await eventually(world.replicas("support", 2), "the least number of pods")
    await eventually(world.exists(HORIZONTAL_POD_AUTOSCALER, "support-voice"), "the autoscaler")
    target = (await world.client.get(HORIZONTAL_POD_AUTOSCALER, world.namespace, "support-voice"))["spec"]
    assert (target["minReplicas"], target["maxReplicas"]) == (2, 5)
    assert target["metrics"][0]["pods"]["metric"]["name"] == "mistral_voice_gateway_sessions"
    await scale(world, 4)
    await visited(world)
    assert await world.replicas("support", 4)()
    await world.apply("support", gateway=AUTOSCALING, config={"maxSessionDurationSeconds": 60})
    await world.condition("support", "ConfigValid", "True")
    await visited(world)
    assert await world.replicas("support", 4)()


async def test_suspend_stops_an_autoscaled_gateway_and_resume_hands_it_back(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", gateway=AUTOSCALING)
    await eventually(world.replicas("support", 2), "two pods")
    await scale(world, 3)
    await world.apply("support", gateway=AUTOSCALING, suspend=True)
    await eventually(world.replicas("support", 0), "no pod")
    await world.apply("support", gateway=AUTOSCALING, suspend=False)
    await eventually(world.replicas("support", 2), "the autoscaler's least number again")
    await scale(world, 5)
    await visited(world)
    assert await world.replicas("support", 5)()


async def test_without_autoscaling_the_autoscaler_goes_and_replicas_count_again(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", gateway=AUTOSCALING)
    await eventually(world.exists(HORIZONTAL_POD_AUTOSCALER, "support-voice"), "the autoscaler")
    await scale(world, 4)
    await world.apply("support", gateway={"replicas": 3})
    await eventually(world.replicas("support", 3), "three pods")

    async def gone() -> bool:
        return not await world.exists(HORIZONTAL_POD_AUTOSCALER, "support-voice")()

    await eventually(gone, "the autoscaler to go")


async def test_replicas_beside_autoscaling_are_an_info(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", gateway={"replicas": 3, **AUTOSCALING})
    await world.condition("support", "ConfigValid", "True")
    issues = (await world.integration("support"))["status"]["issues"]
    assert any(issue["severity"] == "info" and issue["path"] == "spec.gateway.replicas" for issue in issues), issues


async def test_an_ingress_is_made_told_and_taken_away(world: Operating) -> None:
    await world.put_key()
    expose = {"ingress": {"host": "voice.example.com", "className": "nginx"}}
    await world.apply("support", gateway={"expose": expose})
    await eventually(world.exists(INGRESS, "support-voice"), "the Ingress")
    rule = (await world.client.get(INGRESS, world.namespace, "support-voice"))["spec"]["rules"][0]
    assert rule["host"] == "voice.example.com"
    await world.condition("support", "Healthy", "True")
    endpoints = (await world.integration("support"))["status"]["gateway"]["endpoints"]
    assert {"type": "External", "url": "ws://voice.example.com/v1/realtime"} in endpoints
    await world.apply("support", gateway={"replicas": 1})

    async def gone() -> bool:
        return not await world.exists(INGRESS, "support-voice")()

    await eventually(gone, "the Ingress to go")


async def test_a_route_without_the_gateway_api_is_told(tmp_path: Path) -> None:
    # An API server of its own: other tests install the Gateway API in the shared one.
    with api_server() as bare:
        async with operating_alone(bare, tmp_path) as world:
            await world.put_key()
            route = {"httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["voice.example.com"]}}
            await world.apply("support", gateway={"expose": route})
            assert (await world.condition("support", "ConfigValid", "False"))["reason"] == "GatewayAPINotInstalled"
            await world.apply("support", gateway={"replicas": 1})
            await world.condition("support", "Healthy", "True")


async def test_a_missing_certificate_is_told_and_heals(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", gateway={"tls": {"secretRef": {"name": "voice-tls"}}})
    assert (await world.condition("support", "ConfigValid", "False"))["reason"] == "TLSSecretNotFound"
    data = {"tls.crt": b"certificate", "tls.key": b"key"}
    await world.put_secret(data, name="voice-tls", kind="kubernetes.io/tls")
    await world.condition("support", "ConfigValid", "True")


async def test_a_token_of_ones_own_takes_the_place_of_the_made_one(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await eventually(world.exists(SECRET, "support-voice-token"), "the made token")
    await world.condition("support", "Healthy", "True")
    await world.put_secret({"token": b"our-own-token-of-good-length"}, name="own-token")
    await world.apply("support", gateway={"auth": {"tokenSecretRef": {"name": "own-token"}}})

    async def gone() -> bool:
        return not await world.exists(SECRET, "support-voice-token")()

    await eventually(gone, "the made token to go")
    volumes = (await world.client.get(DEPLOYMENT, world.namespace, "support-voice"))["spec"]["template"]["spec"]["volumes"]
    assert "own-token" in str(volumes)


async def test_a_token_is_rotated_with_an_overlap_when_asked(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await eventually(world.exists(SECRET, "support-voice-token"), "the token")
    await world.condition("support", "Healthy", "True")
    before = (await world.client.get(SECRET, world.namespace, "support-voice-token"))["data"]["token"]
    world.kubectl("annotate", "mvi/support", "-n", world.namespace, "voice.contractspec.io/rotate-token=1")

    async def rotated() -> dict[str, Any] | None:
        data: dict[str, Any] = (await world.client.get(SECRET, world.namespace, "support-voice-token"))["data"]
        return data if data["token"] != before else None

    data = await eventually(rotated, "another token")
    assert data is not None
    assert data["previousToken"] == before
    assert len(base64.b64decode(data["token"])) >= 32
