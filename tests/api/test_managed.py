"""Managed mode in the operator against a real API server: consent, conditions, children, and what the platform's changes do."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import trustme

from mistral_voice.contract import names
from mistral_voice.controller.managed.reader import PLAN, POOL
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import NotFound
from mistral_voice.kube.resources import CONFIG_MAP, DEPLOYMENT, NAMESPACE, NETWORK_POLICY, SECRET, SERVICE, Resource
from tests.api.operating import CANARY, Operating, Operation, operation
from tests.cluster import ApiServer
from tests.support.waiting import eventually
from tests.unit.contract.v1alpha1.plans import PRICES, plan_spec, pool_spec

pytestmark = pytest.mark.asyncio(loop_scope="module")
AUTHORITY = trustme.CA().cert_pem.bytes().decode()
BROKER = "https://mistral-voice-broker.mistral-voice.svc:8443"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operation]:
    folder = tmp_path_factory.mktemp("operator")
    bundle = folder / "broker-ca.crt"
    bundle.write_text(AUTHORITY)
    broker = {"url": BROKER, "caBundleFile": str(bundle), "namespace": "mistral-voice", "podLabels": {"app": "broker"}}
    async with operation(cluster, folder, managedMode={"broker": broker}) as running:
        yield running


class Platform:
    """The hands of the platform team, and of the control plane where it writes a pool's status."""

    def __init__(self, world: Operating) -> None:
        self._client: Client = world.client
        self.namespace = world.namespace
        self.name = f"p-{secrets.token_hex(5)}"

    async def apply(self, kind: Resource, spec: dict[str, Any]) -> None:
        body = {"apiVersion": names.API_VERSION, "kind": kind.kind, "metadata": {"name": self.name}, "spec": spec}
        await self._client.apply(kind, None, self.name, body, field_manager="platform", force=True)

    async def offer(self, **changes: Any) -> None:
        consent = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [self.namespace]}]}
        await self.apply(PLAN, plan_spec(**({"namespaceSelector": consent, "poolRef": {"name": self.name}} | changes)))

    async def pool(self, *, active_keys: int | None = 1) -> None:
        await self.apply(POOL, pool_spec())
        await self.tell(active_keys)

    async def tell(self, active_keys: int | None) -> None:
        await self._client.merge_patch(POOL, None, self.name, {"status": {"activeKeys": active_keys}}, subresource="status")

    async def plan_is(self, status: str, reason: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            body = await self._client.get(PLAN, None, self.name)
            conditions = body.get("status", {}).get("conditions", [])
            found: dict[str, Any] | None = next(
                (entry for entry in conditions if (entry["status"], entry["reason"]) == (status, reason)), None
            )
            return found if found is not None and found["observedGeneration"] == body["metadata"]["generation"] else None

        found: dict[str, Any] | None = await eventually(reached, f"Ready={status} ({reason}) of the plan")
        assert found is not None
        return found

    async def version(self, kind: Resource) -> str:
        found: str = (await self._client.get(kind, None, self.name))["metadata"]["resourceVersion"]
        return found

    async def delete(self, kind: Resource) -> None:
        await self._client.delete(kind, None, self.name)

    def claim(self) -> dict[str, Any]:
        return {"mode": "managed", "secretRef": None, "planRef": {"name": self.name}}


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Operation) -> Operating:
    return await running.in_new_namespace()


@pytest_asyncio.fixture(loop_scope="module")
async def platform(world: Operating) -> Platform:
    return Platform(world)


@pytest_asyncio.fixture(loop_scope="module")
async def served(world: Operating, platform: Platform) -> Platform:
    """A platform with all well, and a managed integration that it serves."""
    await platform.pool()
    await platform.offer()
    await world.apply("support", **platform.claim())
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")
    return platform


async def test_a_claim_that_is_granted_becomes_a_gateway_with_the_broker_as_its_way(world: Operating, served: Platform) -> None:
    status = (await world.integration("support"))["status"]
    assert status["credential"] == {"source": "platform", "validationStatus": "valid"}
    assert status["connection"]["status"] == "connected"
    data = (await world.client.get(CONFIG_MAP, world.namespace, "support-voice"))["data"]
    upstream = json.loads(data["gateway.json"])["upstream"]
    assert (upstream["baseUrl"], upstream["credentialFile"]) == (BROKER, names.CREDENTIAL_FILE)
    assert data["ca.crt"] == AUTHORITY
    pod = (await world.client.get(DEPLOYMENT, world.namespace, "support-voice"))["spec"]["template"]["spec"]
    [credential] = [volume for volume in pod["volumes"] if volume["name"] == "credential"]
    [source] = credential["projected"]["sources"]
    assert source["serviceAccountToken"] == {"audience": "mistral-voice-broker", "expirationSeconds": 600, "path": "apiKey"}
    policy = (await world.client.get(NETWORK_POLICY, world.namespace, "support-voice"))["spec"]
    [way] = [rule for rule in policy["egress"] if rule.get("to")]
    assert way["to"][0]["podSelector"] == {"matchLabels": {"app": "broker"}}
    assert await world.exists(SERVICE, "support-voice")()
    await served.plan_is("True", "Ready")


async def test_no_key_of_any_kind_comes_into_the_tenants_namespace(world: Operating, served: Platform) -> None:
    found = json.loads(world.kubectl("get", "secrets,configmaps,deployments,mvi", "-n", world.namespace, "-o", "json"))
    texts = json.dumps(found)
    for word in (CANARY, world.valid_key, "mistral-first", "api.mistral.ai"):
        assert word not in texts
    secrets_there = [item["metadata"]["name"] for item in await world.client.list_all(SECRET, world.namespace)]
    assert secrets_there == ["support-voice-token"]


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        (
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "another"}}},
            "PlanNotAllowed",
            "is not offered to the namespace",
        ),
        ({"models": {"chat": ["mistral-large-latest"]}}, "ModelNotInPlan", "Its chat models: mistral-large-latest."),
        ({"voices": ["voice_1"]}, "VoiceNotInPlan", "Its voices: voice_1."),
    ],
)
async def test_a_denied_claim_says_why_runs_nothing_and_recovers(
    world: Operating, platform: Platform, changes: dict[str, Any], reason: str, words: str
) -> None:
    await platform.pool()
    await platform.offer(**changes)
    await world.apply("support", **platform.claim())
    condition = await world.condition("support", "ConfigValid", "False", reason=reason)
    assert words in condition["message"]
    assert (await world.condition("support", "Stalled", "True"))["reason"] == reason
    assert world.issue(await world.integration("support"), reason)["suggestion"]
    assert not await world.exists(DEPLOYMENT, "support-voice")()
    await platform.offer()
    await world.condition("support", "ConfigValid", "True")
    await eventually(world.exists(DEPLOYMENT, "support-voice"), "the gateway")


async def test_a_plan_may_come_after_its_claim(world: Operating, platform: Platform) -> None:
    await world.apply("support", **platform.claim())
    await world.condition("support", "ConfigValid", "False", reason="PlanNotFound")
    await platform.pool()
    await platform.offer()
    await eventually(world.exists(DEPLOYMENT, "support-voice"), "the gateway")


async def test_a_deleted_plan_leaves_the_pods_and_says_so(world: Operating, served: Platform) -> None:
    await served.delete(PLAN)
    await world.condition("support", "ConfigValid", "False", reason="PlanNotFound")
    assert (await world.condition("support", "Stalled", "True"))["reason"] == "PlanNotFound"
    assert (await world.condition("support", "GatewayAvailable", "True"))["reason"] == "PodsReady"


@pytest.mark.parametrize("policy", ["Hold", "HoldAndDrain"])
async def test_a_held_plan_is_told_and_opened_again(world: Operating, served: Platform, policy: str) -> None:
    await served.offer(stopPolicy=policy)
    await world.condition("support", "Healthy", "False", reason="PlanHeld")
    assert (await world.condition("support", "Stalled", "False"))["reason"] == "AsExpected"
    await served.plan_is("False", "Held")
    await served.offer()
    await world.condition("support", "Ready", "True")


async def test_a_pool_without_a_key_in_use_is_told_to_plan_and_integration(world: Operating, served: Platform) -> None:
    await served.tell(0)
    await world.condition("support", "Healthy", "False", reason="NoActiveKey")
    await served.plan_is("False", "NoActiveKey")
    await served.tell(2)
    await world.condition("support", "Ready", "True")
    await served.plan_is("True", "Ready")


async def test_a_pool_that_is_gone_is_told_to_plan_and_integration(world: Operating, served: Platform) -> None:
    await served.delete(POOL)
    await world.condition("support", "Healthy", "False", reason="PoolNotFound")
    await served.plan_is("False", "PoolNotFound")


async def test_a_pool_of_which_nothing_is_told_yet_is_waited_for(world: Operating, platform: Platform) -> None:
    await platform.pool(active_keys=None)
    await platform.offer()
    await world.apply("support", **platform.claim())
    await world.condition("support", "Healthy", "Unknown", reason="NotChecked")
    await platform.plan_is("Unknown", "PoolNotChecked")


async def test_a_plan_without_a_price_for_a_model_says_which(platform: Platform) -> None:
    await platform.pool()
    await platform.offer(priceBook={"currency": "EUR", "prices": PRICES[:3]})
    assert "voxtral-mini-tts-latest (characters)" in (await platform.plan_is("False", "PriceMissing"))["message"]


async def test_labels_of_the_namespace_grant_and_withdraw(world: Operating, platform: Platform) -> None:
    await platform.pool()
    await platform.offer(namespaceSelector={"matchLabels": {"tier": "gold"}})
    await world.apply("support", **platform.claim())
    await world.condition("support", "ConfigValid", "False", reason="PlanNotAllowed")
    await world.client.merge_patch(NAMESPACE, None, world.namespace, {"metadata": {"labels": {"tier": "gold"}}})
    await world.condition("support", "ConfigValid", "True")
    await world.client.merge_patch(NAMESPACE, None, world.namespace, {"metadata": {"labels": {"tier": "silver"}}})
    await world.condition("support", "ConfigValid", "False", reason="PlanNotAllowed")


async def test_the_plan_of_one_namespace_serves_no_other(running: Operation, world: Operating, served: Platform) -> None:
    other = await running.in_new_namespace()
    await other.apply("support", **served.claim())
    await other.condition("support", "ConfigValid", "False", reason="PlanNotAllowed")
    assert not await other.exists(DEPLOYMENT, "support-voice")()
    await world.condition("support", "Ready", "True")


async def test_a_secret_called_like_a_key_is_never_taken_in_its_place(world: Operating, platform: Platform) -> None:
    await world.put_key()
    await world.apply("support", **platform.claim())
    await world.condition("support", "ConfigValid", "False", reason="PlanNotFound")
    with pytest.raises(NotFound):
        await world.client.get(DEPLOYMENT, world.namespace, "support-voice")


async def test_usage_that_the_control_plane_wrote_stays(world: Operating, served: Platform) -> None:
    usage = {"period": "2026-11", "sessions": 3, "seconds": 180}
    await world.client.merge_patch(INTEGRATION, world.namespace, "support", {"status": {"usage": usage}}, subresource="status")
    await served.tell(0)
    await world.condition("support", "Healthy", "False", reason="NoActiveKey")
    assert (await world.integration("support"))["status"]["usage"] == usage


async def test_a_quota_that_is_used_up_is_told_by_kubectl_and_leaves_the_integration_ready(world: Operating, served: Platform) -> None:
    sentence = "Plan standard allows a namespace 36 seconds of sessions a day, and there is no room for more."
    usage = {"period": "2026-11", "sessions": 3, "seconds": 0, "exhausted": {"reason": "SecondsExhausted", "message": sentence}}
    await world.client.merge_patch(INTEGRATION, world.namespace, "support", {"status": {"usage": usage}}, subresource="status")
    await world.condition("support", "WithinQuota", "False", reason="SecondsExhausted")
    await world.condition("support", "Ready", "True")

    async def told() -> bool:
        return "SecondsExhausted" in await asyncio.to_thread(world.kubectl, "get", "events", "-n", world.namespace)

    await eventually(told, "the Event")


async def test_renewed_authorities_of_the_broker_reach_the_gateways(running: Operation, world: Operating, served: Platform) -> None:
    # Gateways are replaced one by one, and those of other tests would never be ready: no pod runs here.
    world.kubectl("delete", "mvi", "--all-namespaces", "--field-selector", f"metadata.namespace!={world.namespace}")
    another = trustme.CA().cert_pem.bytes().decode()
    (running.folder / "broker-ca.crt").write_text(another)

    async def renewed() -> bool:
        return bool((await world.client.get(CONFIG_MAP, world.namespace, "support-voice"))["data"]["ca.crt"] == another)

    await eventually(renewed, "the new authorities in the ConfigMap")


async def test_a_restart_writes_nothing(world: Operating, served: Platform) -> None:
    # The last test of the module: it ends the operator that the others share.
    await served.plan_is("True", "Ready")
    before = (await world.versions("support"), await served.version(PLAN))
    async with world.operator_restarted():
        await eventually(world.visits, "a visit after the restart")
        await world.apply("second", **served.claim())
        await eventually(world.exists(DEPLOYMENT, "second-voice"), "the restarted operator to have come to the next")
        assert (await world.versions("support"), await served.version(PLAN)) == before
