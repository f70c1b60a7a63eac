"""An operator at work in one namespace of a real API server, with Mistral simulated over TLS, and the hands to try it."""

import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.resources import DEPLOYMENT, POD
from tests.cluster import ApiServer
from tests.support.crds import install_crds
from tests.support.operator import OperatorProcess, running_operator
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.tenant import TenantHands
from tests.support.waiting import eventually

CANARY = "canary-key-4b1d0c55e7f2"
UNHURRIED = {"leaseDurationSeconds": 60, "renewDeadlineSeconds": 50}
"""For the one operator there is: on a busy machine it loses no lease, which would end it."""
_CHILDREN = ("serviceaccounts", "configmaps", "deployments", "services", "poddisruptionbudgets", "networkpolicies")


@dataclass
class Operating(TenantHands):
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

    @property
    def valid_key(self) -> str:
        """The key that the simulator takes from the beginning."""
        return self.mistral.key

    def explanation(self) -> str:
        """The operator's last words."""
        return self.operator.log[-3000:]

    async def eventually_asked(self, key_id: str, times: int) -> None:
        """Wait until Mistral was asked so often with a key."""

        async def asked() -> bool:
            return len(await self.mistral.requests(key_id=key_id)) >= times

        await eventually(asked, f"{times} requests with {key_id}")

    async def pretend_pods(self, name: str, *, ready: int, **trouble: str) -> None:
        """Write the Deployment's status as its controller would; there is none here. `trouble` is one more condition."""
        await eventually(self.exists(DEPLOYMENT, f"{name}-voice"), "the Deployment")
        deployment = await self.client.get(DEPLOYMENT, self.namespace, f"{name}-voice")
        wanted = deployment["spec"]["replicas"]
        conditions = [
            {"type": "Available", "status": "True" if ready else "False", "reason": "MinimumReplicasAvailable", "message": ""},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": ""},
        ]
        if trouble:
            conditions = [condition for condition in conditions if condition["type"] != trouble["type"]] + [trouble]
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": conditions,
        }
        await self.client.merge_patch(DEPLOYMENT, self.namespace, f"{name}-voice", {"status": status}, subresource="status")

    async def pretend_pod(self, name: str, status: dict[str, Any]) -> None:
        """Write the status of a pod of the Deployment's; it is made if there is none yet."""
        if not await self.exists(POD, f"{name}-pod")():
            template = (await self.client.get(DEPLOYMENT, self.namespace, f"{name}-voice"))["spec"]["template"]
            metadata = {**template["metadata"], "name": f"{name}-pod"}
            await self.client.create(POD, self.namespace, {**template, "apiVersion": "v1", "kind": "Pod", "metadata": metadata})
        whole = {"conditions": [], "containerStatuses": [], **status}
        await self.client.merge_patch(POD, self.namespace, f"{name}-pod", {"status": whole}, subresource="status")

    async def versions(self, name: str) -> dict[str, str]:
        """Return the resource versions of the integration and its children."""
        found = {"integration": (await self.integration(name))["metadata"]["resourceVersion"]}
        for plural in _CHILDREN:
            version = self.kubectl("get", plural, f"{name}-voice", "-n", self.namespace, "-o", "jsonpath={.metadata.resourceVersion}")
            found[plural] = version
        return found

    async def visits(self) -> float:
        """Return how many reconciliations ended well in the running operator."""
        counts = [await self.operator.metric(f'mistral_voice_operator_reconcile_total{{result="{how}"}}') for how in ("success", "requeue")]
        return sum(count or 0 for count in counts)

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
        return self.inside(new_namespace(self.cluster))

    def inside(self, namespace: str) -> Operating:
        """Return the hands for a namespace."""
        return Operating(self.cluster, self.client, namespace, self.folder, self.mistral, self.operator, self.settings)


def new_namespace(cluster: ApiServer) -> str:
    """Make a namespace and return its name."""
    name = f"t-{secrets.token_hex(5)}"
    cluster.kubectl("create", "namespace", name)
    return name


@contextlib.asynccontextmanager
async def operating_alone(cluster: ApiServer, folder: Path, **settings: Any) -> AsyncIterator[Operating]:
    """Run an operator that watches one new namespace and nothing else while the context lasts."""
    namespace = new_namespace(cluster)
    async with operation(cluster, folder, watchNamespaces=[namespace], **settings) as running:
        yield running.inside(namespace)


@contextlib.asynccontextmanager
async def operation(cluster: ApiServer, folder: Path, **settings: Any) -> AsyncIterator[Operation]:
    """Run an operator and a simulated Mistral while the context lasts; `settings` are those of `operator.yaml`."""
    install_crds(cluster)
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    lease = {"leaseName": f"operator-{secrets.token_hex(4)}", **UNHURRIED, **settings.pop("leaderElection", {})}
    async with running_simulator(tls=tls) as mistral, Client(await load_access(cluster.kubeconfig)) as client:
        endpoint = {"name": "default", "url": mistral.base_url, "caBundle": authority.cert_pem.bytes().decode()}
        untrusted = {"name": "untrusted", "url": mistral.base_url}
        whole = {"endpoints": [endpoint, untrusted], "defaultVoice": "voice_478", "leaderElection": lease, **settings}
        async with running_operator(cluster.kubeconfig, folder, **whole) as operator:
            yield Operation(cluster, client, folder, mistral, operator, whole)
