"""Managed mode on real pods: a team names a plan, the platform's brokers hold the keys, and the control plane remembers."""

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.killing import kill
from tests.e2e.place import Place
from tests.e2e.platform import Platform, platform_of
from tests.e2e.postgresql import SECRET_NAME, postgresql
from tests.e2e.talking import ANSWER, QUESTION, talk, understood
from tests.e2e.team import PASSING, Team, ask
from tests.support.gateway import RealtimeClient
from tests.support.speech import speech, write_wav
from tests.support.waiting import eventually
from tests.support.words import word_error_rate

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("managed")]

PATIENT: dict[str, Any] = {"quantumSeconds": 5, "offlineGraceSeconds": 600}
"""Of a plan whose leases are renewed every few seconds, and whose sessions outlast any restart of the control plane."""


@pytest_asyncio.fixture(loop_scope="session")
async def platform(place: Place) -> AsyncIterator[Platform]:
    async with platform_of(place) as platform:
        yield platform


async def test_a_managed_integration_talks_and_its_namespace_holds_no_key(platform: Platform, team: Team, tmp_path: Path) -> None:
    key = await platform.ready(team)
    question, reply = write_wav(tmp_path / "question.wav", speech(QUESTION)), tmp_path / "reply.wav"
    told = await talk(team, question, reply)
    assert word_error_rate(ANSWER, told["reply"]) == 0, told
    assert word_error_rate(ANSWER, await understood(reply)) <= 0.2
    everything = all_objects(team)
    assert "support-voice" in everything
    assert key not in everything


async def test_a_session_that_uses_up_its_quota_is_told_and_the_next_is_refused(platform: Platform, team: Team) -> None:
    await platform.ready(team, limits={"sessionSecondsPerPeriod": 12}, quantumSeconds=5)
    async with team.session() as client:
        first = client.session["expires_at"]
        updated = await client.until("session.updated")
        assert updated["session"]["expires_at"] < first
        assert await client.until_closed() == 1000
        (error,) = client.all("error")
        assert error["error"]["code"] == "session_expired"
        assert "session" in error["error"]["message"]
    refused = await refusal(team)
    assert refused["code"] == "managed_seconds_exhausted"
    assert "seconds" in refused["message"]


async def test_a_session_keeps_its_key_while_the_platform_rotates_it(platform: Platform, team: Team) -> None:
    await platform.ready(team)
    async with team.session() as client:
        assert await ask(client, QUESTION) == ANSWER
        await platform.put_key("second")
        await platform.put_pool("first", "second", retired="first")
        await platform.key_is("second", "Active")
        await platform.key_is("first", "Draining")
        assert await ask(client, QUESTION) == ANSWER
        assert await platform.asked_with("second") == 0
        with_first = await platform.asked_with("first")
        async with team.session() as other:
            assert await ask(other, QUESTION) == ANSWER
        assert await platform.asked_with("second") > 0
        assert await platform.asked_with("first") == with_first
    await platform.key_is("first", "Retired")


async def test_a_dead_key_is_set_aside_and_the_next_turn_works(platform: Platform, team: Team) -> None:
    await platform.ready(team)
    async with team.session() as client:
        assert await ask(client, QUESTION) == ANSWER
        await platform.put_key("second")
        await platform.put_pool("first", "second")
        await platform.key_is("second", "Active")
        await platform.mistral.admin("PATCH", f"/keys/{platform.key_id('first')}", {"state": "revoked"})
        await eventually_answers(client)
        assert await platform.asked_with("second") > 0
        dead = await platform.key_is("first", "Quarantined")
        assert dead["reason"] == "auth"


async def test_a_session_survives_its_broker(platform: Platform, team: Team) -> None:
    await platform.ready(team)
    async with team.session() as client:
        assert await ask(client, QUESTION) == ANSWER
        broker = await platform.broker_with_sessions(team)
        await kill(platform.place, broker["metadata"]["name"])
        await eventually_answers(client)
    await platform.is_back(broker)
    usage = await used(platform, team)
    assert usage["sessions"] == 1


async def test_sessions_go_on_while_the_control_plane_is_killed_and_starts_again(platform: Platform, team: Team) -> None:
    await platform.ready(team, **PATIENT)
    began = time.monotonic()
    async with team.session() as client:
        assert await ask(client, QUESTION) == ANSWER
        (pod,) = await platform.some_pods("control-plane", 1)
        await kill(platform.place, pod["metadata"]["name"])
        assert await ask(client, QUESTION) == ANSWER
        await platform.is_back(pod)
        assert await ask(client, QUESTION) == ANSWER
    await eventually_released(platform)
    lasted = time.monotonic() - began
    assert (await used(platform, team))["sessions"] == 1
    await charged_once(platform, answers=3, at_most_seconds=lasted)


@pytest.mark.changes_all_gateways
async def test_of_two_replicas_on_postgresql_one_is_killed(platform: Platform, team: Team) -> None:
    with postgresql(platform.place):
        database = {"type": "postgresql", "postgresql": {"replicas": 2, "secretRef": {"name": SECRET_NAME}}}
        platform.place.upgrade(controlPlane={"database": database})
        try:
            pods = await platform.some_pods("control-plane", 2)
            await platform.ready(team, **PATIENT)
            began = time.monotonic()
            async with team.session() as client:
                assert await ask(client, QUESTION) == ANSWER
                await kill(platform.place, pods[0]["metadata"]["name"])
                assert await ask(client, QUESTION) == ANSWER
                # Until the Service knows that the replica is gone, whoever is led there is told to come again.
                await eventually(lambda: another_session_answers(team), "a session that is admitted", every_seconds=0.5)
            # Of a Service with a replica that is gone, not every way leads anywhere.
            await platform.is_back(pods[0])
            await eventually_released(platform)
            lasted = time.monotonic() - began
            assert (await used(platform, team))["sessions"] == 2
            await charged_once(platform, answers=3, at_most_seconds=2 * lasted)
        finally:
            platform.place.upgrade()


async def another_session_answers(team: Team) -> bool:
    """Tell whether a new session is admitted; if it is, it must answer."""
    async with team.connection() as client:
        first = await client.until("session.created", "error")
        if first["type"] == "error":
            assert first["error"]["code"] in PASSING, first
            return False
        assert await ask(client, QUESTION) == ANSWER
        return True


async def charged_once(platform: Platform, *, answers: int, at_most_seconds: float) -> None:
    """Assert that the ledger charges what was spoken once, and no more time than went by until the leases' release."""
    # A gateway asks once more for what Mistral doesn't answer in time, and that is charged too.
    spoken = await platform.spoken_with("first")
    assert spoken >= answers * len(ANSWER)
    entries = (await platform.ask_api(f"/plans/{platform.name}/entries?limit=500"))["items"]
    assert sum(entry["amount"] for entry in entries if entry.get("unit") == "characters") == spoken, entries
    assert 0 < sum(entry["sessionMs"] for entry in entries) <= at_most_seconds * 1000, entries


async def eventually_released(platform: Platform) -> None:
    """Wait until no lease of the plan is left."""

    async def released() -> bool:
        leases = await platform.ask_api(f"/plans/{platform.name}/sessions")
        return not leases["items"]

    await eventually(released, "the leases' release", every_seconds=0.5)


async def eventually_answers(client: RealtimeClient) -> None:
    """Ask until a reply is whole, once a second as a client may: the turn in which something was lost may fail."""

    async def answered() -> bool:
        content = [{"type": "input_text", "text": QUESTION}]
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await client.send("response.create")
        done = await client.until("response.done")
        return bool(done["response"]["status"] == "completed")

    await eventually(answered, "a whole reply", every_seconds=1)


async def refusal(team: Team) -> dict[str, Any]:
    """Return the error that a client gets whose session is refused for a reason that stays."""

    async def refused() -> dict[str, Any] | None:
        async with team.connection() as client:
            event = await client.until("session.created", "error")
            assert event["type"] == "error", event
            error: dict[str, Any] = event["error"]
            return error if error["code"] not in PASSING else None

    found: dict[str, Any] | None = await eventually(refused, "a refusal that stays", every_seconds=1)
    assert found is not None
    return found


async def used(platform: Platform, team: Team) -> dict[str, Any]:
    """Return the integration's use of its plan, as the control plane's API tells it."""
    page = await platform.ask_api(f"/plans/{platform.name}/integrations")
    (usage,) = [item for item in page["items"] if item["namespace"] == team.namespace]
    found: dict[str, Any] = usage
    return found


def all_objects(team: Team) -> str:
    """Return everything that the team's namespace holds, of each kind, Secrets decoded."""
    kinds = team.place.cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").stdout.split()
    listed = json.loads(team.kubectl("get", ",".join(kinds), "-o", "json"))
    texts = []
    for item in listed["items"]:
        texts.append(json.dumps(item))
        if item["kind"] == "Secret":
            texts += [base64.b64decode(value).decode(errors="replace") for value in item.get("data", {}).values()]
    return "\n".join(texts)
