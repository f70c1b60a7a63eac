"""Two operators, of which one leads: clean stops, kills, and what is under way meanwhile.

They are the operators of all other tests too, which may go on: whatever they wait for has time enough for a takeover.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from mistral_voice.kube.resources import DEPLOYMENT, LEASE, POD
from tests.e2e.killing import KILL_SECONDS, kill
from tests.e2e.place import RELEASE, SYSTEM, Place
from tests.e2e.team import NO_PODS, Team
from tests.support.stalls import stalls
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("operators")]
WAIT_SECONDS = 90.0
NAMES = [f"voice-{number}" for number in range(8)]


@dataclass(frozen=True)
class Takeover:
    """Who leads now, and how long nobody did: from the former leader's last renewal on, by the Lease's own times."""

    pod: str
    after_seconds: float


class Operators:
    """The operator's two pods, and the Lease between them."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def lease(self) -> dict[str, Any]:
        """Return who holds the Lease, and how often it changed hands."""
        spec: dict[str, Any] = (await self.place.client.get(LEASE, SYSTEM, RELEASE))["spec"]
        return spec

    def pod_names(self) -> list[str]:
        """Return the names of the pods that are to stay."""
        return [pod["metadata"]["name"] for pod in self.place.operator_pods()]

    async def leader(self) -> str:
        """Return the leading pod's name."""
        found = await eventually(self._leader, "a leader", WAIT_SECONDS, 0.1)
        assert found is not None
        return found

    async def _leader(self) -> str | None:
        holder = (await self.lease()).get("holderIdentity") or ""
        name = next((name for name in self.pod_names() if holder.startswith(name)), None)
        return name if name is not None and await self.leads(name) else None

    async def leads(self, pod: str) -> bool:
        """Tell whether a pod says that it leads."""
        metrics = await self.place.pod_answers(SYSTEM, pod, "/metrics")
        return metrics is not None and "\nmistral_voice_operator_leader 1.0" in metrics

    async def taken_over(self, former: dict[str, Any], former_pod: str) -> Takeover:
        """Wait until another process than the Lease's former holder leads. No other leads any more."""
        last = former

        async def taken() -> Takeover | None:
            nonlocal last
            lease = await self.lease()
            if lease.get("holderIdentity") in (None, "", former["holderIdentity"]):
                last = lease
                return None
            assert lease["leaseTransitions"] > former["leaseTransitions"]
            leader = await self._leader()
            if leader is None:
                return None
            # The leader is asked first: if it leads, whatever the others say afterwards has to be no.
            others = sorted({former_pod, *self.pod_names()} - {leader})
            claims = await asyncio.gather(*(self.leads(name) for name in others))
            if any(claims) and not await self.leads(leader):
                return None  # It has handed over since.
            assert not any(claims), (
                f"two operators lead: {leader} and {[name for name, leads in zip(others, claims, strict=True) if leads]}"
            )
            return Takeover(leader, (_time(lease["acquireTime"]) - _time(last["renewTime"])).total_seconds())

        takeover = await eventually(taken, "another process to lead", WAIT_SECONDS, 0.1)
        assert takeover is not None
        return takeover


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest_asyncio.fixture(loop_scope="session")
async def operators(place: Place) -> AsyncIterator[Operators]:
    """Two operators that are ready, before and after the test."""
    await both_ready(place)
    yield Operators(place)
    await both_ready(place)


async def test_the_follower_leads_at_once_when_the_leader_is_stopped(operators: Operators, team: Team) -> None:
    leader, lease = await operators.leader(), await operators.lease()
    (follower,) = set(operators.pod_names()) - {leader}
    await team.put_key()
    with stalls() as stalled_seconds:
        await operators.place.client.delete(POD, SYSTEM, leader)
        takeover = await operators.taken_over(lease, leader)
        assert takeover.pod == follower
        # It did not wait until the Lease lapsed; on a busy machine we may miss the last renewals, or either of them may stall.
        assert takeover.after_seconds < lease["leaseDurationSeconds"] + 4 * stalled_seconds()
    await team.apply("support", gateway=NO_PODS)
    await team.condition("support", "Healthy", "True")


async def test_another_leads_within_twenty_seconds_when_the_leader_is_killed(operators: Operators, team: Team) -> None:
    leader, lease = await operators.leader(), await operators.lease()
    await team.put_key()
    with stalls() as stalled_seconds:
        killing = asyncio.create_task(kill(operators.place, leader))
        takeover = await operators.taken_over(lease, leader)
        # Each process of a busy machine stalls for as long as we do, and several play a part.
        assert takeover.after_seconds <= 20 + 4 * stalled_seconds()
    await killing
    await team.apply("support", gateway=NO_PODS)
    await team.condition("support", "Healthy", "True")


async def test_a_leader_killed_in_mid_reconcile_leaves_nothing_undone_and_nothing_double(operators: Operators, team: Team) -> None:
    leader, lease = await operators.leader(), await operators.lease()
    await team.put_key()
    killing = asyncio.create_task(kill(operators.place, leader))
    begun = time.monotonic()
    rounds = 0
    # The leader is at work until it is killed: everything changes again and again.
    while not killing.done() or rounds == 0:
        rounds += 1
        await asyncio.gather(*(team.apply(name, gateway=NO_PODS | {"maxSessionsPerPod": rounds % 1000 + 1}) for name in NAMES))
        assert time.monotonic() < begun + KILL_SECONDS
    await killing
    await operators.taken_over(lease, leader)
    await asyncio.gather(*(team.condition(name, "Healthy", "True") for name in NAMES))
    kinds = "serviceaccounts,configmaps,secrets,deployments,services,poddisruptionbudgets,networkpolicies,replicasets"
    for name in NAMES:
        owner = (await team.integration(name))["metadata"]["uid"]
        listed = json.loads(team.kubectl("get", kinds, "-l", f"voice.contractspec.io/integration={name}", "-o", "json"))["items"]
        by_kind = sorted(item["kind"] for item in listed if item["kind"] != "ReplicaSet")
        assert by_kind == sorted(["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service", "ServiceAccount"])
        assert {item["metadata"]["ownerReferences"][0]["uid"] for item in listed if item["kind"] != "ReplicaSet"} == {owner}
        config = next(item for item in listed if item["kind"] == "ConfigMap")["data"]["gateway.json"]
        assert json.loads(config)["limits"]["maxSessions"] == rounds % 1000 + 1
        deployment = await team.client.get(DEPLOYMENT, team.namespace, f"{name}-voice")
        managers = [entry["manager"] for entry in deployment["metadata"]["managedFields"] if "subresource" not in entry]
        assert len(managers) == len(set(managers)), managers


async def both_ready(place: Place) -> None:
    """Wait for two operators."""

    def ready() -> bool:
        conditions = [{c["type"]: c["status"] for c in pod["status"].get("conditions", ())} for pod in place.operator_pods()]
        return len(conditions) == 2 and all(condition.get("Ready") == "True" for condition in conditions)

    await eventually(ready, "two operators to be ready", 180, 0.3)
