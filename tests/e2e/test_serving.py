"""How a gateway serves, stops serving and is replaced, with sessions running."""

import asyncio
from typing import Any

import aiohttp
import pytest

from mistral_voice.kube.errors import NotFound
from mistral_voice.kube.resources import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD, SERVICE_ACCOUNT
from tests.e2e.place import Place
from tests.e2e.team import READY_SECONDS, Team, ask
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

AUTOSCALING = {"autoscaling": {"minReplicas": 1, "maxReplicas": 2}}
TRIES_TO_WRITE = "import pathlib; pathlib.Path('/here').write_text('')"
LOOKS_FOR_TOKEN = "import os, sys; sys.exit(os.path.exists('/var/run/secrets/kubernetes.io'))"


async def test_a_gateway_can_do_nothing_to_its_node_or_the_cluster(team: Team) -> None:
    await team.ready()
    pod = await team.serving_pod()
    namespace = team.place.cluster.kubectl("get", "namespace", team.namespace, "--show-labels").stdout
    assert "pod-security.kubernetes.io/enforce=restricted" in namespace
    run = ["--namespace", team.namespace, "exec", pod["metadata"]["name"], "--", "python3", "-c"]
    written = team.place.cluster.kubectl(*run, TRIES_TO_WRITE, check=False)
    assert "Read-only file system" in written.stderr
    assert team.place.cluster.kubectl(*run, LOOKS_FOR_TOKEN, check=False).returncode == 0
    assert team.kubectl("exec", pod["metadata"]["name"], "--", "id", "-u").strip() != "0"
    account = f"system:serviceaccount:{team.namespace}:support-voice"
    assert await team.exists(SERVICE_ACCOUNT, "support-voice")()
    allowed = team.place.cluster.kubectl("auth", "can-i", "get", "secrets", "-n", team.namespace, "--as", account, check=False)
    assert allowed.stdout.strip() == "no"


async def test_a_session_goes_on_to_its_end_when_its_pod_is_stopped(team: Team) -> None:
    await team.ready(gateway={"drainTimeoutSeconds": 300})
    name = (await team.serving_pod())["metadata"]["name"]
    async with team.session() as client:
        assert await ask(client, "Before.") == "You said: Before."
        await team.client.delete(POD, team.namespace, name)

        async def withdrawn() -> bool:
            return await team.place.pod_answers(team.namespace, name, "/readyz") is None

        await eventually(withdrawn, "the pod to be ready no more")
        await eventually(lambda: team.place.pod_answers(team.namespace, name, "/healthz"), "the pod to say that it is alive")
        # A successor serves new clients; while it came, the time for which the old pod still accepts sessions has gone by.
        successor = await another_ready_pod(team, name)
        async with team.session(pod=successor) as new:
            assert await ask(new, "New.") == "You said: New."
        await eventually(lambda: refused(team, name), "the old pod to refuse sessions", every_seconds=0.5)
        assert await ask(client, "After.") == "You said: After."
        assert await present(team, name)
    await eventually(lambda: gone(team, name), "the drained pod to end", every_seconds=0.2)


async def test_a_session_that_does_not_end_is_closed_after_the_drain(team: Team) -> None:
    await team.ready(gateway={"drainTimeoutSeconds": 6})
    name = (await team.serving_pod())["metadata"]["name"]
    async with team.session() as client:
        assert await ask(client, "Before.") == "You said: Before."
        await team.client.delete(POD, team.namespace, name)
        assert await client.until_closed() == aiohttp.WSCloseCode.GOING_AWAY
    await eventually(lambda: gone(team, name), "the drained pod to end", every_seconds=0.2)


@pytest.mark.parametrize("gateway", [{}, AUTOSCALING], ids=["of a number of pods", "autoscaled"])
async def test_a_gateway_is_suspended_and_resumed(team: Team, gateway: dict[str, Any]) -> None:
    await team.ready(gateway=gateway)
    await team.apply("support", gateway=gateway, suspend=True)
    await eventually(team.no_pods, "the pods to go", every_seconds=0.2)
    await team.condition("support", "GatewayAvailable", "False", reason="Suspended")
    await team.condition("support", "Reconciling", "False")
    assert await team.replicas("support", 0)()
    await team.apply("support", gateway=gateway, suspend=False)
    await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)
    assert await team.exists(HORIZONTAL_POD_AUTOSCALER, "support-voice")() == ("autoscaling" in gateway)
    async with team.session() as client:
        assert await ask(client, "Awake.") == "You said: Awake."


async def test_a_gateway_without_a_node_says_so_in_the_pods_words(team: Team) -> None:
    await team.put_key()
    await team.apply("support", gateway={"template": {"nodeSelector": {"example.com/there-is-no-such": "node"}}})
    said = await team.condition("support", "GatewayAvailable", "False", reason="Unschedulable")
    assert "0/1 nodes are available" in said["message"]
    await team.apply("support", gateway={})
    await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)


async def test_a_gateway_beyond_the_quota_says_so_and_heals(team: Team) -> None:
    team.kubectl("create", "quota", "none", "--hard=pods=0")
    # What is created before its controller has seen the quota is refused in other words, or not at all.
    team.kubectl("wait", "quota/none", "--for=jsonpath={.status.hard.pods}=0", "--timeout=90s")
    await team.put_key()
    await team.apply("support")
    said = await team.condition("support", "GatewayAvailable", "False", reason="QuotaExceeded")
    assert "exceeded quota: none" in said["message"]
    team.kubectl("delete", "quota", "none")
    # The Deployment's controller tries again ever more rarely; a new pod template lets it try at once.
    await team.apply("support", gateway={"template": {"labels": {"try": "again"}}})
    await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)


@pytest.mark.changes_all_gateways
@pytest.mark.xdist_group("images")
async def test_an_image_that_is_nowhere_is_told_and_the_former_pod_serves_on(place: Place, team: Team) -> None:
    await team.ready()
    await asyncio.to_thread(lambda: place.upgrade(gateway={"image": {"repository": "localhost/there-is-none", "tag": "at-all"}}))
    try:
        said = await team.condition("support", "Reconciling", "True", reason="ImagePullFailed")
        assert "localhost/there-is-none:at-all" in said["message"]
        await team.condition("support", "GatewayAvailable", "True")
        async with team.session() as client:
            assert await ask(client, "Still there?") == "You said: Still there?"
    finally:
        await asyncio.to_thread(place.upgrade)
    await team.condition("support", "Reconciling", "False")
    await team.condition("support", "Ready", "True")


@pytest.mark.changes_all_gateways
@pytest.mark.xdist_group("images")
async def test_a_new_image_rolls_without_dropping_a_session(place: Place, team: Team) -> None:
    # The new one is the same by another name.
    await team.ready(gateway={"drainTimeoutSeconds": 300})
    old = await team.serving_pod()
    async with team.session() as client:
        assert await ask(client, "Before.") == "You said: Before."
        await asyncio.to_thread(lambda: place.upgrade(gateway={"image": place.other_name_of_image(old)}))
        successor = await another_ready_pod(team, old["metadata"]["name"])
        assert await ask(client, "Meanwhile.") == "You said: Meanwhile."
        async with team.session(pod=successor) as new:
            assert await ask(new, "New.") == "You said: New."
        deployment = await team.client.get(DEPLOYMENT, team.namespace, "support-voice")
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image != old["spec"]["containers"][0]["image"]
        assert await present(team, old["metadata"]["name"])
        assert await ask(client, "After.") == "You said: After."
    await eventually(lambda: gone(team, old["metadata"]["name"]), "the old pod to end", every_seconds=0.2)
    await team.condition("support", "Ready", "True")
    await team.condition("support", "Reconciling", "False")


async def another_ready_pod(team: Team, former: str) -> str:
    """Wait for a ready pod besides a former one and return its name."""

    async def found() -> str | None:
        name: str = (await team.serving_pod())["metadata"]["name"]
        return name if name != former else None

    name = await eventually(found, "a successor", READY_SECONDS, 0.2)
    assert name is not None
    return name


async def present(team: Team, pod: str) -> bool:
    """Tell whether a pod is there, if only to drain."""
    try:
        found = await team.client.get(POD, team.namespace, pod)
    except NotFound:
        return False
    return bool(found["status"]["phase"] == "Running")


async def gone(team: Team, pod: str) -> bool:
    """Tell whether a pod has ended."""
    return not await present(team, pod)


async def refused(team: Team, pod: str) -> bool:
    """Tell whether a pod takes no new session."""
    try:
        async with team.session(pod=pod):
            return False
    except aiohttp.WSServerHandshakeError as error:
        return error.status == 503
