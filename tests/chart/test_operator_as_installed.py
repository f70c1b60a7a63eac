"""The operator at work with what the chart gives it: its identity, its rights, its settings file, its admission policy."""

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from mistral_voice.contract import names
from mistral_voice.controller.managed.reader import PLAN, POOL
from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.resources import CONFIG_MAP, HORIZONTAL_POD_AUTOSCALER, INGRESS, LEASE, SECRET, SERVICE_ACCOUNT
from tests.api.operating import UNHURRIED, Operating
from tests.chart.installing import SYSTEM, install
from tests.chart.rendering import NAME
from tests.cluster import ApiServer, api_server
from tests.support.operator import OperatorProcess, running_operator
from tests.support.simulator import running_simulator
from tests.support.waiting import eventually
from tests.unit.contract.v1alpha1.plans import plan_spec, pool_spec

TEAM = "team-a"


@dataclass(frozen=True)
class Installed:
    """An API server with the chart in it, and the operator's access to it."""

    cluster: ApiServer
    account: Path


@pytest.fixture(scope="module", params=[[], [TEAM]], ids=["all namespaces", "one namespace"])
def installed(request: pytest.FixtureRequest) -> Iterator[Installed]:
    with api_server() as cluster:
        namespaces = f"watchNamespaces={json.dumps(request.param)}"
        yield Installed(cluster, install(cluster, TEAM, "--set-json", namespaces, "--set", "controlPlane.enabled=true"))


@pytest.fixture
async def world(installed: Installed, tmp_path: Path) -> AsyncIterator[Operating]:
    """A leader and a follower under the chart's ServiceAccount."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    async with running_simulator(tls=tls) as mistral, Client(await load_access(installed.cluster.kubeconfig)) as client:
        settings = yaml.safe_load((await client.get(CONFIG_MAP, SYSTEM, NAME))["data"]["operator.yaml"])
        settings["leaderElection"] |= UNHURRIED
        settings["endpoints"] = [{"name": "default", "url": mistral.base_url, "caBundle": authority.cert_pem.bytes().decode()}]
        bundle = tmp_path / "broker-ca.crt"
        bundle.write_bytes(authority.cert_pem.bytes())
        settings["managedMode"]["broker"]["caBundleFile"] = str(bundle)
        async with running_operator(installed.account, tmp_path, identity="leader", lease_namespace=SYSTEM, **settings) as leader:
            await eventually(lambda: leader.metric("mistral_voice_operator_leader"), "the first to lead")
            async with running_operator(installed.account, tmp_path, identity="follower", lease_namespace=SYSTEM, **settings) as follower:
                yield Operating(installed.cluster, client, TEAM, tmp_path, mistral, leader, settings)
                for operator in (leader, follower):
                    await refused_nothing(operator)


async def refused_nothing(operator: OperatorProcess) -> None:
    """The API server has refused none of an operator's requests for want of a right or by the admission policy."""
    _, metrics = await operator.get("/metrics")
    refused = [
        line for line in metrics.splitlines() if line.startswith("mistral_voice_operator_api_requests_total") and 'code="403"' in line
    ]
    assert refused == [], operator.log[-4000:]
    assert not [line for line in operator.log_lines() if "orbidden" in json.dumps(line)]


async def test_the_rights_suffice_for_the_whole_life_of_an_integration(world: Operating) -> None:
    await world.put_key()
    exposure = {"ingress": {"host": "voice.example.com"}}
    await world.apply("support", gateway={"autoscaling": {"maxReplicas": 3}, "expose": exposure})
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    for resource, name in (
        (HORIZONTAL_POD_AUTOSCALER, "support-voice"),
        (INGRESS, "support-voice"),
        (SERVICE_ACCOUNT, "support-voice"),
        (SECRET, "support-voice-token"),
    ):
        await eventually(world.exists(resource, name), f"{resource.kind} {name}")

    # Drift: an object that is gone, a stripped label, a stripped owner.
    await world.client.delete(CONFIG_MAP, world.namespace, "support-voice")
    await eventually(world.exists(CONFIG_MAP, "support-voice"), "the ConfigMap to come back")
    for stripped in ({"labels": {names.INTEGRATION_UID_LABEL: None}}, {"ownerReferences": None}):
        await world.client.merge_patch(CONFIG_MAP, world.namespace, "support-voice", {"metadata": stripped})
        await eventually(lambda: _is_marked(world), f"{stripped} to be put right")

    # The client token: deleted, stripped, and no longer wanted.
    await world.client.delete(SECRET, world.namespace, "support-voice-token")
    await world.apply("support", config={"maxSessionDurationSeconds": 60}, gateway={"autoscaling": {"maxReplicas": 2}})
    await eventually(world.exists(SECRET, "support-voice-token"), "the token to come back")
    await eventually(_absent(world, INGRESS, "support-voice"), "the Ingress to go")
    await world.put_secret({"token": b"our-own-token-0001"}, name="own-token")
    await world.apply("support", gateway={"auth": {"tokenSecretRef": {"name": "own-token"}}})
    await world.condition("support", "ConfigValid", "True")
    await eventually(_absent(world, HORIZONTAL_POD_AUTOSCALER, "support-voice"), "the autoscaler to go")
    await eventually(_absent(world, SECRET, "support-voice-token"), "the token that is not wanted any more to go")

    await world.apply("support", suspend=True)
    await eventually(world.replicas("support", 0), "no replicas")


async def test_the_rights_suffice_for_a_managed_integration_and_its_plan(world: Operating) -> None:
    consent = {"matchLabels": {"kubernetes.io/metadata.name": TEAM}}
    for resource, spec in ((POOL, pool_spec()), (PLAN, plan_spec(namespaceSelector=consent))):
        name = "main" if resource == POOL else "standard"
        body = {"apiVersion": names.API_VERSION, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}
        await world.client.apply(resource, None, name, body, field_manager="platform", force=True)
    await world.client.merge_patch(POOL, None, "main", {"status": {"activeKeys": 1}}, subresource="status")
    await world.apply("managed", mode="managed", secretRef=None, planRef={"name": "standard"})
    await world.pretend_pods("managed", ready=1)
    await world.condition("managed", "Ready", "True")

    async def plan_is_ready() -> bool:
        conditions = (await world.client.get(PLAN, None, "standard")).get("status", {}).get("conditions", [])
        return [condition["reason"] for condition in conditions] == ["Ready"]

    await eventually(plan_is_ready, "the plan's own condition")


async def test_a_name_that_is_taken_is_reported_and_the_object_stays(world: Operating) -> None:
    await world.put_key()
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "second-voice"}, "data": {"whose": "ours"}}
    await world.client.create(CONFIG_MAP, world.namespace, foreign)
    await world.apply("second")
    condition = await world.condition("second", "ConfigValid", "False")
    assert condition["reason"] == "ChildNameTaken"
    assert (await world.client.get(CONFIG_MAP, world.namespace, "second-voice"))["data"] == {"whose": "ours"}


async def test_one_replica_leads_by_the_lease_that_the_chart_names(world: Operating) -> None:
    async def held_by_the_leader() -> bool:
        lease = await world.client.get(LEASE, SYSTEM, NAME)
        return str(lease["spec"].get("holderIdentity")).startswith("leader_")

    await eventually(held_by_the_leader, "the leader to hold the lease")


async def _is_marked(world: Operating) -> bool:
    metadata = (await world.client.get(CONFIG_MAP, world.namespace, "support-voice", metadata_only=True))["metadata"]
    return names.INTEGRATION_UID_LABEL in metadata.get("labels", {}) and bool(metadata.get("ownerReferences"))


def _absent(world: Operating, resource: Any, name: str) -> Any:
    exists = world.exists(resource, name)

    async def gone() -> bool:
        return not await exists()

    return gone
