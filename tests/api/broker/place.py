"""Managed mode on loopback: a real API server, brokers, gateways and the simulator over TLS, and a small control plane."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import trustme

from mistral_voice.broker.directory import INTEGRATIONS, PLANS, Directory
from mistral_voice.broker.main import Broker, running_broker
from mistral_voice.broker.settings import Settings
from mistral_voice.contract.lease import BROKER_AUDIENCE, KeyReference
from mistral_voice.contract.names import API_VERSION, KIND
from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.resources import NAMESPACE, POD, SECRET, SERVICE_ACCOUNT
from mistral_voice.kube.transport import Call
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.redaction import Redactor
from tests.cluster import ApiServer
from tests.support.control_plane import SmallControlPlane, running_control_plane
from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.service import Service, running_service
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.waiting import eventually
from tests.unit.contract.v1alpha1.plans import plan_spec
from tests.unit.gateway.conftest import SCRIPT

CANARY = "canary-pool-key-77ab19c4"


@dataclass
class Tenant:
    """A namespace with one managed integration, its gateway's ServiceAccount and pod."""

    namespace: str
    pod: str
    pod_uid: str


@dataclass
class BrokerProcess:
    """A broker as a process: its ports, once it listens, and its log."""

    process: asyncio.subprocess.Process
    port: int = 0
    metrics_port: int = 0
    log_lines: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Follow its log."""
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            self.log_lines.append(raw.decode().rstrip())
            if '"listening"' in self.log_lines[-1]:
                line = json.loads(self.log_lines[-1])
                self.port, self.metrics_port = line["port"], line["metrics_port"]

    async def is_ready(self) -> bool:
        """Ask /readyz."""
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self.metrics_port}/readyz") as answer:
            return answer.status == 200

    def kill(self) -> None:
        """End it at once, as a lost node would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)


@dataclass
class Place:
    """Everything there is."""

    cluster: ApiServer
    client: Client
    folder: Path
    authority: trustme.CA
    mistral: SimulatorHandle
    control_plane: SmallControlPlane
    service: Service
    pool_namespace: str
    plan: str
    brokers: list[Broker] = field(default_factory=list)
    running: list[Broker] = field(default_factory=list)
    """Those of `brokers` that have not ended: what is put here they have heard of when it is there."""

    @property
    def ca_file(self) -> str:
        """The authority's certificate."""
        return str(self.folder / "ca.pem")

    @property
    def url(self) -> str:
        """The brokers' Service."""
        return f"https://localhost:{self.service.port}"

    async def put_key(self, value: str, name: str = "mistral-main") -> None:
        """Create or replace a pool Secret."""
        data = {"apiKey": base64.b64encode(value.encode()).decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        await self.client.apply(SECRET, self.pool_namespace, name, body, field_manager="platform", force=True)

    async def put_plan(self, **changes: Any) -> None:
        """Create or replace the plan."""
        body = {"apiVersion": API_VERSION, "kind": "MistralVoicePlan", "metadata": {"name": self.plan}, "spec": plan_spec(**changes)}
        made = await self.client.apply(PLANS, None, self.plan, body, field_manager="platform", force=True)
        await self._heard(lambda directory: _is(directory.plan(self.plan), made), f"the plan {self.plan}")

    async def delete_plan(self) -> None:
        """Delete the plan."""
        await self.client.delete(PLANS, None, self.plan)

    async def new_namespace(self, **labels: str) -> str:
        """Create a namespace."""
        name = f"t-{secrets.token_hex(5)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        await self.client.create(NAMESPACE, None, body)
        await self._heard(lambda directory: bool(directory.labels_of(name)), f"the namespace {name}")
        return name

    async def _heard(self, knows: Callable[[Directory], bool], what: str) -> None:
        """Wait until the brokers in this process know of something: their watches may lag behind."""
        for broker in self.running:
            await eventually(partial(knows, directory_of(broker)), f"a broker's knowledge of {what}")

    async def tenant(self, name: str = "hello", **spec: Any) -> Tenant:
        """Create a namespace, an integration that claims the plan, and what its gateway's pod is known by."""
        namespace = await self.new_namespace(tenant="yes")
        await self.put_integration(namespace, name, **spec)
        return await self.pod(namespace, f"{name}-voice")

    async def put_integration(self, namespace: str, name: str = "hello", **spec: Any) -> KubeObject:
        """Create or replace an integration."""
        whole = {"mode": "managed", "planRef": {"name": self.plan}, **spec}
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
        made = await self.client.apply(INTEGRATIONS, namespace, name, body, field_manager="tenant", force=True)
        await self._heard(lambda directory: _is(directory.integration(namespace, name), made), f"the integration {namespace}/{name}")
        return made

    async def pod(self, namespace: str, account: str, name: str = "gateway-0") -> Tenant:
        """Create a ServiceAccount and a pod that uses it."""
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
        await self.client.apply(SERVICE_ACCOUNT, namespace, account, body, field_manager="tenant", force=True)
        pod = await self.client.create(
            POD,
            namespace,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": {"serviceAccountName": account, "containers": [{"name": "gateway", "image": "none"}]},
            },
        )
        return Tenant(namespace, name, pod["metadata"]["uid"])

    async def token(
        self, tenant: Tenant, account: str = "hello-voice", audience: str | None = BROKER_AUDIENCE, *, bound: bool = True
    ) -> str:
        """Return a token as kubelet projects it: of the ServiceAccount, for an audience, bound to the pod."""
        pod = {"apiVersion": "v1", "kind": "Pod", "name": tenant.pod, "uid": tenant.pod_uid}
        spec = {"audiences": [audience] if audience else [], "expirationSeconds": 600, **({"boundObjectRef": pod} if bound else {})}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        call = Call("create", "POST", SERVICE_ACCOUNT, tenant.namespace, account, "token", {}, json.dumps(body).encode())
        made: str = json.loads(await self.client._transport.request(call))["status"]["token"]
        return made

    @contextlib.asynccontextmanager
    async def broker(self, name: str = "broker-0", clock: Clock | None = None, **changes: Any) -> AsyncIterator[Broker]:
        """Run a broker behind the Service."""
        (self.folder / "control-plane-token").write_text("a-brokers-token")
        settings = Settings(
            **{
                "name": name,
                "host": "127.0.0.1",
                "advertised_host": "127.0.0.1",
                "port": 0,
                "metrics_port": 0,
                "tls_directory": self.folder / "tls",
                "pool_namespace": self.pool_namespace,
                "control_plane_url": self.control_plane.base_url,
                "control_plane_ca": self.ca_file,
                "control_plane_token": self.folder / "control-plane-token",
                "log_level": "debug",
                "accept_seconds": 0.05,
                "upstream_url": self.mistral.base_url,
                "upstream_ca": self.ca_file,
                **changes,
            }
        )
        async with running_broker(settings, await load_access(self.cluster.kubeconfig), Redactor(), clock) as broker:
            await eventually(lambda: broker.gateway_port.not_ready_because() is None, "the broker's readiness")
            self.service.backends.append(broker.port)
            self.brokers.append(broker)
            self.running.append(broker)
            try:
                yield broker
            finally:
                self.running.remove(broker)
                if broker.port in self.service.backends:
                    self.service.backends.remove(broker.port)

    @contextlib.asynccontextmanager
    async def broker_process(
        self, name: str, upstream_url: str = "", control_plane_url: str = "", control_plane_token: Path | None = None
    ) -> AsyncIterator[BrokerProcess]:
        """Run a broker as a process of its own behind the Service; it is killed at the end if it still runs.

        It knows what was there when it began. Of what comes later nobody can tell when it has heard.

        `upstream_url` takes the simulator's place, `control_plane_url` that of the small control plane.
        """
        (self.folder / "control-plane-token").write_text("a-brokers-token")
        flags = {
            "name": name,
            "host": "127.0.0.1",
            "advertised-host": "127.0.0.1",
            "port": "0",
            "metrics-port": "0",
            "tls-directory": str(self.folder / "tls"),
            "pool-namespace": self.pool_namespace,
            "control-plane-url": control_plane_url or self.control_plane.base_url,
            "control-plane-ca": self.ca_file,
            "control-plane-token": str(control_plane_token or self.folder / "control-plane-token"),
            "upstream-url": upstream_url or self.mistral.base_url,
            "upstream-ca": self.ca_file,
        }
        environment = {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "KUBECONFIG": str(self.cluster.kubeconfig),
        }
        arguments = [text for flag, value in flags.items() for text in (f"--{flag}", value)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mistral_voice.cli.main", "broker", *arguments, stderr=asyncio.subprocess.PIPE, env=environment
        )
        broker = BrokerProcess(process)
        reading = asyncio.create_task(broker.read())
        try:
            await eventually(lambda: broker.port, "the broker's port")
            await eventually(broker.is_ready, "the broker's readiness")
            self.service.backends.append(broker.port)
            yield broker
        finally:
            broker.kill()
            await process.wait()
            await reading

    @contextlib.asynccontextmanager
    async def gateway(self, tenant: Tenant, **changes: Any) -> AsyncIterator[GatewayHandle]:
        """Run a tenant's gateway."""
        directory = self.folder / f"gateway-{secrets.token_hex(3)}"
        directory.mkdir()
        key = await self.token(tenant)
        options = {"mode": "managed", "namespace": tenant.namespace, "ca_bundle_file": self.ca_file, "key": key, **changes}
        async with running_gateway(self.url, directory, **options) as gateway:
            gateway.is_attentive = True
            yield gateway


def directory_of(broker: Broker) -> Directory:
    """Return what a broker knows of the cluster."""
    return broker.gateway_port._its.directory


def _is(record: Observed | None, body: KubeObject) -> bool:
    return record is not None and record.resource_version == body["metadata"]["resourceVersion"]


def _server_context(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    (folder / "tls").mkdir(exist_ok=True)
    certificate.cert_chain_pems[0].write_to_path(folder / "tls" / "tls.crt")
    certificate.private_key_pem.write_to_path(folder / "tls" / "tls.key")
    return server_context(folder)


def server_context(folder: Path) -> ssl.SSLContext:
    """Return what a server of the place serves TLS with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls" / "tls.crt", folder / "tls" / "tls.key")
    return context


@contextlib.asynccontextmanager
async def managed_place(cluster: ApiServer, client: Client, folder: Path) -> AsyncIterator[Place]:
    """Set up all but brokers, tenants and gateways."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    tls = _server_context(authority, folder)
    pool_namespace = f"pool-{secrets.token_hex(4)}"
    await client.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": pool_namespace}})
    key = KeyReference("main", "mistral-main", "apiKey", "Global")
    async with (
        running_simulator(SCRIPT, tls=tls) as mistral,
        running_control_plane(key, tls) as control_plane,
        running_service() as service,
    ):
        await mistral.add_key("pool", CANARY)
        place = Place(cluster, client, folder, authority, mistral, control_plane, service, pool_namespace, f"plan-{secrets.token_hex(4)}")
        await place.put_key(CANARY)
        await place.put_plan(namespaceSelector={"matchLabels": {"tenant": "yes"}})
        yield place
