"""The platform team's hands in managed mode: plans, pools and their keys, and what the control plane tells of them."""

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.contract.names import API_VERSION
from mistral_voice.controlplane.watching import PLANS, POOLS
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import POD, SECRET
from tests.e2e.place import LIVE, MISTRAL, RELEASE, SYSTEM, Place
from tests.e2e.team import READY_SECONDS, Team
from tests.support.port_forward import forwarded
from tests.support.simulator import SimulatorHands
from tests.support.waiting import eventually
from tests.unit.contract.v1alpha1.plans import plan_spec

POOL_NAMESPACE: Final = f"{RELEASE}-pools"
CONTROL_PLANE: Final = f"{RELEASE}-control-plane"
REPORTER: Final = "reporter"
"""The ServiceAccount by which tests ask the control plane's API."""


@dataclass(frozen=True)
class Platform:
    """One plan and one pool of the same name, whose keys the live Mistral knows by `<name>-<key>`.

    Attributes:
        mistral: the live one, to which the brokers' way leads.
    """

    place: Place
    mistral: SimulatorHands
    name: str

    async def put_key(self, key: str, value: str | None = None) -> str:
        """Have a key that Mistral knows, and its Secret; returns its value."""
        value = value or f"key-{secrets.token_hex(12)}"
        await self.mistral.add_key(self.key_id(key), value)
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.key_id(key)}, "stringData": {"apiKey": value}}
        await self.place.client.apply(SECRET, POOL_NAMESPACE, self.key_id(key), body, field_manager="platform", force=True)
        return value

    def key_id(self, key: str) -> str:
        """Return what Mistral and the Secret call a key of the pool."""
        return f"{self.name}-{key}"

    async def put_pool(self, *keys: str, retired: str | None = None) -> None:
        """Have a pool of these keys; one of them retired, if it is named."""
        entries = [
            {"name": key, "secretRef": {"name": self.key_id(key)}, "rateLimitDomain": key, **({"retire": True} if key == retired else {})}
            for key in keys
        ]
        body = {"apiVersion": API_VERSION, "kind": "MistralKeyPool", "metadata": {"name": self.name}, "spec": {"keys": entries}}
        await self.place.client.apply(POOLS, None, self.name, body, field_manager="platform", force=True)

    async def put_plan(self, team: Team, **changes: Any) -> None:
        """Have a plan that this team may claim."""
        consent = {"matchLabels": {"kubernetes.io/metadata.name": team.namespace}}
        spec = plan_spec(namespaceSelector=consent, poolRef={"name": self.name}, **changes)
        body = {"apiVersion": API_VERSION, "kind": "MistralVoicePlan", "metadata": {"name": self.name}, "spec": spec}
        await self.place.client.apply(PLANS, None, self.name, body, field_manager="platform", force=True)

    async def ready(self, team: Team, **plan: Any) -> str:
        """Have a key, a pool, a plan and an integration, and wait until it is ready; returns the key's value."""
        key = await self.put_key("first")
        await self.put_pool("first")
        await self.put_plan(team, **plan)
        await self.key_is("first", "Active")
        await team.apply("support", mode="managed", secretRef=None, planRef={"name": self.name})
        await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)
        return key

    async def key_state(self, key: str) -> dict[str, Any]:
        """Return what the pool's status says of a key; nothing if it does not."""
        status: dict[str, Any] = (await self.place.client.get(POOLS, None, self.name)).get("status") or {}
        keys: list[dict[str, Any]] = status.get("keys", [])
        return next((entry for entry in keys if entry["name"] == key), {})

    async def key_is(self, key: str, state: str) -> dict[str, Any]:
        """Wait until a key has a state; returns what the pool's status says of it."""

        async def reached() -> dict[str, Any] | None:
            found = await self.key_state(key)
            return found if found.get("state") == state else None

        found: dict[str, Any] | None = await eventually(reached, f"key {key} to be {state}", READY_SECONDS, 0.2)
        assert found is not None
        return found

    async def asked_with(self, key: str) -> int:
        """Return how often a reply was asked for by means of a key: once for each, and once more where Mistral didn't answer in time."""
        return len(await self.mistral.requests(endpoint="chat", key_id=self.key_id(key)))

    async def spoken_with(self, key: str) -> int:
        """Return how many characters Mistral was asked to speak by means of a key."""
        sockets = await self.mistral.requests(endpoint="speech_realtime", key_id=self.key_id(key))
        received = [message["body"] for socket in sockets for message in socket["messages"] if message["direction"] == "in"]
        whole = await self.mistral.requests(endpoint="speech", key_id=self.key_id(key))
        return sum(len(body.get("text") or "") for body in received) + sum(len(request["body"]["input"]) for request in whole)

    async def pods(self, component: str) -> list[KubeObject]:
        """Return pods of the release that run and are ready."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        pods = await self.place.client.list_all(POD, SYSTEM, label_selector=selector)
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and _is_ready(pod)]

    async def some_pods(self, component: str, number: int) -> list[KubeObject]:
        """Wait until so many pods are ready."""

        async def found() -> list[KubeObject]:
            pods = await self.pods(component)
            return pods if len(pods) == number else []

        return await eventually(found, f"{number} pods of {component}", READY_SECONDS, 0.3)

    async def is_back(self, killed: KubeObject) -> None:
        """Wait until a pod whose process was killed runs again and is ready."""
        name, before = killed["metadata"]["name"], _restarts(killed)

        async def back() -> bool:
            pod = await self.place.client.get(POD, SYSTEM, name)
            return _restarts(pod) > before and _is_ready(pod)

        await eventually(back, f"{name} to be back", READY_SECONDS, 0.3)

    async def broker_with_sessions(self, team: Team) -> KubeObject:
        """Return the broker's pod that holds a session of the team."""

        async def found() -> KubeObject | None:
            for pod in await self.pods("broker"):
                said = await self.place.pod_answers(SYSTEM, pod["metadata"]["name"], "/metrics") or ""
                for line in said.splitlines():
                    if line.startswith("mistral_voice_broker_sessions{") and f'"{team.namespace}"' in line and not line.endswith(" 0.0"):
                        return pod
            return None

        pod = await eventually(found, "a broker that holds the session", READY_SECONDS, 0.3)
        assert pod is not None
        return pod

    async def ask_api(self, path: str) -> dict[str, Any]:
        """Ask the control plane what it knows, as one who may see every plan."""
        arguments = ("create", "token", REPORTER, "-n", SYSTEM, "--audience", CONTROL_PLANE_AUDIENCE)
        token = (await asyncio.to_thread(self.place.cluster.kubectl, *arguments)).stdout.strip()
        authority = await self.place.client.get(SECRET, SYSTEM, f"{CONTROL_PLANE}-tls")
        tls = ssl.create_default_context(cadata=base64.b64decode(authority["data"]["ca.crt"]).decode())
        host = f"{CONTROL_PLANE}.{SYSTEM}.svc"
        async with (
            forwarded(self.place.cluster, SYSTEM, f"service/{CONTROL_PLANE}", 8443) as port,
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
            http.get(f"https://127.0.0.1:{port}/api/v1{path}", ssl=tls, server_hostname=host) as answer,
        ):
            body: dict[str, Any] = json.loads(await answer.text())
            assert answer.status == 200, body
            return body


@contextlib.asynccontextmanager
async def platform_of(place: Place) -> AsyncIterator[Platform]:
    """Have a plan's and pool's name of one's own while the context lasts; what bears it is removed at its end."""
    place.cluster.kubectl("rollout", "status", f"deployment/{LIVE}", "-n", MISTRAL, "--timeout", "240s", timeout_seconds=300)
    place.cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=json.dumps(_reporter()))
    tls = ssl.create_default_context(cadata=place.installation.authority)
    name = f"p-{secrets.token_hex(4)}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
        forwarded(place.cluster, MISTRAL, f"deployment/{LIVE}", 8443) as port,
    ):
        try:
            yield Platform(place, SimulatorHands(f"https://localhost:{port}", http), name)
        finally:
            place.cluster.kubectl("delete", "mvplan,mvpool", name, "--ignore-not-found", "--wait=false", check=False)


def _is_ready(pod: KubeObject) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in pod.get("status", {}).get("conditions", ())}
    return conditions.get("Ready") == "True"


def _restarts(pod: KubeObject) -> int:
    return sum(int(container["restartCount"]) for container in pod["status"].get("containerStatuses", ()))


def _reporter() -> KubeObject:
    """Return an account that may see every plan's use."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": REPORTER, "namespace": SYSTEM}}
    rules = [{"apiGroups": ["voice.contractspec.io"], "resources": ["mistralvoiceplans/usage"], "verbs": ["get"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{SYSTEM}-{REPORTER}"},
        "rules": rules,
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{SYSTEM}-{REPORTER}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{SYSTEM}-{REPORTER}"},
        "subjects": [{"kind": "ServiceAccount", "name": REPORTER, "namespace": SYSTEM}],
    }
    return {"apiVersion": "v1", "kind": "List", "items": [account, role, binding]}
