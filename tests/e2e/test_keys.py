"""Mistral's keys and the clients' tokens: wrong ones, right ones, rotated ones, and those of others."""

import secrets

import aiohttp
import pytest

from mistral_voice.kube.objects import KubeObject
from tests.e2e.place import Place
from tests.e2e.team import READY_SECONDS, Team, ask, team_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_wrong_key_is_told_and_the_right_one_heals(team: Team) -> None:
    await team.put_key("a-key-that-mistral-does-not-know")
    await team.apply("support", healthCheck={"intervalSeconds": 10})
    await team.condition("support", "Healthy", "False", reason="Unauthorized")
    await team.condition("support", "Stalled", "True", reason="Unauthorized")
    # The key has nothing to do with whether the gateway runs.
    await team.condition("support", "GatewayAvailable", "True", timeout_seconds=READY_SECONDS)
    await team.put_key()
    await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)
    pod = await team.serving_pod()
    await eventually_answered_with(team, pod, team.namespace)
    assert restarts(await team.serving_pod()) == restarts(pod)


async def test_a_rotated_key_is_in_use_without_a_restart_and_sessions_go_on(team: Team) -> None:
    await team.ready()
    pod = await team.serving_pod()
    async with team.session() as client:
        assert await ask(client, "Before.") == "You said: Before."
        second, value = f"{team.namespace}-second", f"key-{secrets.token_hex(12)}"
        await team.mistral.add_key(second, value)
        await team.put_key(value)

        async def asked_with_second() -> bool:
            await team.sync_volumes(pod)
            assert await ask(client, "Again.") == "You said: Again."
            return bool(await team.mistral.requests(endpoint="chat", key_id=second))

        # A client may ask for one response a second in the long run.
        await eventually(asked_with_second, "the session to use the new key", every_seconds=1)
        await team.mistral.admin("PATCH", f"/keys/{team.namespace}", {"state": "revoked"})
        assert await ask(client, "After.") == "You said: After."
    await eventually_answered_with(team, pod, second)
    assert restarts(await team.serving_pod()) == restarts(pod)


async def test_integrations_of_two_namespaces_do_not_see_each_other(place: Place, team: Team) -> None:
    async with team_of(place) as other:
        await other.put_key()
        await other.apply("support")
        await team.ready()
        await other.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)
        assert await team.token() != await other.token()
        for one, stranger in ((team, other), (other, team)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with one.session(token=await stranger.token()):
                    pass
            assert refused.value.status == 401
            async with one.session() as client:
                assert await ask(client, f"I am {one.namespace}.") == f"You said: I am {one.namespace}."
            asked = await one.mistral.requests(endpoint="chat", key_id=one.namespace)
            assert asked
            assert stranger.namespace not in str(asked)


async def eventually_answered_with(team: Team, pod: KubeObject, key_id: str) -> None:
    """Hold new sessions with a pod until one is answered by means of this key."""
    asked = await team.mistral.requests(key_id=key_id)
    latest = asked[-1]["seq"] if asked else 0

    async def answered() -> bool:
        await team.sync_volumes(pod)
        async with team.session() as client:
            await client.send("response.create", response={"instructions": "Say something."})
            await client.until("response.done", "error")
        return bool(await team.mistral.requests(endpoint="chat", key_id=key_id, after=str(latest)))

    await eventually(answered, f"a request with the key {key_id}", every_seconds=0.5)


def restarts(pod: KubeObject) -> tuple[str, int]:
    """Return what changes when a pod is replaced, or its container."""
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]
