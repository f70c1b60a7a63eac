"""An operator at work in one namespace of a real API server, with Mistral simulated over TLS, and the hands to try it."""

import base64
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from mistral_voice.contract.names import API_VERSION, KIND
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import AlreadyExists, NotFound
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import DEPLOYMENT, NAMESPACE, SECRET, Resource
from tests.cluster import ApiServer
from tests.support.operator import OperatorProcess, running_operator
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.waiting import eventually

CANARY = "canary-key-4b1d0c55e7f2"
CRDS = Path(__file__).resolve().parents[2] / "crds"
_CHILDREN = ("serviceaccounts", "configmaps", "deployments", "services", "poddisruptionbudgets", "networkpolicies")


@dataclass
class Operating:
    """One namespace, one operator that watches only it, and one simulated Mistral."""

    cluster: ApiServer
    client: Client
    namespace: str
    folder: Path
    mistral: SimulatorHandle
    operator: OperatorProcess
    settings: dict[str, Any] = field(repr=False)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl and return what it prints."""
        return self.cluster.kubectl(*arguments).stdout

    async def put_key(self, value: str | None = None, *, name: str = "mistral", key: str = "apiKey", kind: str = "Opaque") -> None:
        """Create or replace the Secret with a key; the simulator's valid one if no other is given."""
        await self.put_secret({key: (value if value is not None else self.mistral.key).encode()}, name=name, kind=kind)

    async def put_secret(self, data: dict[str, bytes], *, name: str = "mistral", kind: str = "Opaque") -> None:
        """Create a Secret, or replace its data."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": encoded}
        try:
            await self.client.create(SECRET, self.namespace, body)
        except AlreadyExists:
            await self.client.json_patch(SECRET, self.namespace, name, [{"op": "replace", "path": "/data", "value": encoded}])

    async def apply(self, name: str, **spec: Any) -> KubeObject:
        """Apply an integration: byok with the Secret `mistral` unless said otherwise; None removes a field."""
        whole = {"mode": "byok", "secretRef": {"name": "mistral"}, **spec}
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
        return await self.client.apply(INTEGRATION, self.namespace, name, body, field_manager="tenant", force=True)

    async def integration(self, name: str) -> KubeObject:
        """Read an integration."""
        return await self.client.get(INTEGRATION, self.namespace, name)

    async def condition(self, name: str, kind: str, status: str, *, timeout_seconds: float = 30) -> dict[str, Any]:
        """Wait until a condition has this status for the present generation, and return it."""
        seen: dict[str, Any] = {}

        async def reached() -> dict[str, Any] | None:
            body = await self.integration(name)
            seen["status"] = body.get("status")
            for condition in body.get("status", {}).get("conditions", ()):
                found: dict[str, Any] = condition
                if found["type"] == kind and found["status"] == status:
                    return found if found.get("observedGeneration") == body["metadata"]["generation"] else None
            return None

        try:
            found: dict[str, Any] | None = await eventually(reached, f"{kind}={status} of {name}", timeout_seconds, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(seen, indent=1)}\n{self.operator.log[-3000:]}") from None
        assert found is not None
        return found

    @staticmethod
    def issue(body: KubeObject, code: str) -> dict[str, Any]:
        """Return the issue of this code in an integration's status."""
        issues = body["status"].get("issues", [])
        found: dict[str, Any] | None = next((issue for issue in issues if issue["code"] == code), None)
        assert found is not None, issues
        return found

    def exists(self, resource: Resource, name: str) -> Callable[[], Awaitable[bool]]:
        """Return a question: does this object exist?"""

        async def ask() -> bool:
            try:
                await self.client.get(resource, self.namespace, name, metadata_only=True)
            except NotFound:
                return False
            return True

        return ask

    def replicas(self, name: str, number: int) -> Callable[[], Awaitable[bool]]:
        """Return a question: does the Deployment want so many pods?"""

        async def ask() -> bool:
            try:
                deployment = await self.client.get(DEPLOYMENT, self.namespace, f"{name}-voice")
            except NotFound:
                return False
            return bool(deployment["spec"].get("replicas") == number)

        return ask

    async def eventually_asked(self, key_id: str, times: int) -> None:
        """Wait until Mistral was asked so often with a key."""

        async def asked() -> bool:
            return len(await self.mistral.requests(key_id=key_id)) >= times

        await eventually(asked, f"{times} requests with {key_id}", timeout_seconds=40)

    async def pretend_pods(self, name: str, *, ready: int) -> None:
        """Write the Deployment's status as its controller would; there is none here."""
        await eventually(self.exists(DEPLOYMENT, f"{name}-voice"), "the Deployment")
        deployment = await self.client.get(DEPLOYMENT, self.namespace, f"{name}-voice")
        wanted = deployment["spec"]["replicas"]
        conditions = [
            {"type": "Available", "status": "True" if ready else "False", "reason": "MinimumReplicasAvailable", "message": ""},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": ""},
        ]
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": conditions,
        }
        await self.client.merge_patch(DEPLOYMENT, self.namespace, f"{name}-voice", {"status": status}, subresource="status")

    async def versions(self, name: str) -> dict[str, str]:
        """Return the resource versions of the integration and its children."""
        found = {"integration": (await self.integration(name))["metadata"]["resourceVersion"]}
        for plural in _CHILDREN:
            version = self.kubectl("get", plural, f"{name}-voice", "-n", self.namespace, "-o", "jsonpath={.metadata.resourceVersion}")
            found[plural] = version
        return found

    async def visits(self) -> float:
        """Return how many reconciliations succeeded in the running operator."""
        return (
            await self.operator.metric('mistral_voice_operator_reconcile_total{result="success"}')
            or await self.operator.metric('mistral_voice_operator_reconcile_total{result="requeue"}')
            or 0.0
        )

    @staticmethod
    def meaning(body: KubeObject) -> KubeObject:
        """Return what a user would see of an object: no versions, times, field managers or status."""
        dropped = ("resourceVersion", "managedFields", "generation", "creationTimestamp", "uid")
        metadata = {key: value for key, value in body["metadata"].items() if key not in dropped}
        return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}

    @contextlib.asynccontextmanager
    async def operator_restarted(self) -> AsyncIterator[OperatorProcess]:
        """Stop the operator and run another in its place while the context lasts."""
        await self.operator.stop()
        former = self.operator
        async with running_operator(self.cluster.kubeconfig, self.folder, identity="operator-1", **self.settings) as operator:
            self.operator = operator
            yield operator
        self.operator = former


@dataclass
class Operation:
    """One operator for all namespaces of a cluster, and one simulated Mistral. Tests take a namespace of it each."""

    cluster: ApiServer
    client: Client
    folder: Path
    mistral: SimulatorHandle
    operator: OperatorProcess
    settings: dict[str, Any] = field(repr=False)

    async def in_new_namespace(self) -> Operating:
        """Make a namespace and return the hands for it. Nothing removes it: the API server goes with the run."""
        name = f"t-{secrets.token_hex(5)}"
        await self.client.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return Operating(self.cluster, self.client, name, self.folder, self.mistral, self.operator, self.settings)


@contextlib.asynccontextmanager
async def operation(cluster: ApiServer, folder: Path, **settings: Any) -> AsyncIterator[Operation]:
    """Run an operator and a simulated Mistral while the context lasts; `settings` are those of `operator.yaml`."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    lease = {"leaseName": f"operator-{secrets.token_hex(4)}"}
    async with running_simulator(tls=tls) as mistral, Client(await load_access(cluster.kubeconfig)) as client:
        endpoint = {"name": "default", "url": mistral.base_url, "caBundle": authority.cert_pem.bytes().decode()}
        whole = {"endpoints": [endpoint], "defaultVoice": "voice_478", "leaderElection": lease, **settings}
        async with running_operator(cluster.kubeconfig, folder, **whole) as operator:
            yield Operation(cluster, client, folder, mistral, operator, whole)
