"""A control plane before a real API server: tenants' namespaces, plans, a pool, and a ServiceAccount for each role that RBAC may give."""

import errno
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.contract.names import API_VERSION, GROUP, PLAN_KIND, PLAN_PLURAL, PLURAL, POOL_KIND, POOL_PLURAL, VERSION
from mistral_voice.controlplane.main import running_control_plane
from mistral_voice.controlplane.settings import parse
from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.resources import NAMESPACE, SERVICE_ACCOUNT, Resource
from mistral_voice.kube.transport import Call
from tests.cluster import ApiServer
from tests.support.crds import install_crds
from tests.support.waiting import eventually
from tests.unit.contract.v1alpha1.plans import plan_spec

PLANS = Resource(GROUP, VERSION, PLAN_PLURAL, PLAN_KIND, namespaced=False)
POOLS = Resource(GROUP, VERSION, POOL_PLURAL, POOL_KIND, namespaced=False)
USAGE = {"apiGroups": [GROUP], "resources": [f"{PLAN_PLURAL}/usage"], "verbs": ["get"]}
ROLES: dict[str, list[dict[str, Any]]] = {
    "all-plans": [USAGE],
    "one-plan": [{**USAGE, "resourceNames": ["gold"]}],
    "pools": [{"apiGroups": [GROUP], "resources": [f"{POOL_PLURAL}/status"], "verbs": ["get"]}],
    "plans-alone": [{"apiGroups": [GROUP], "resources": [PLAN_PLURAL, f"{PLAN_PLURAL}/status"], "verbs": ["get", "list"]}],
    "platform": [
        USAGE,
        {"apiGroups": [GROUP], "resources": [f"{POOL_PLURAL}/status"], "verbs": ["get"]},
        {"apiGroups": [GROUP], "resources": ["mistralvoiceintegrations"], "verbs": ["get"]},
    ],
    "tenant": [{"apiGroups": [GROUP], "resources": ["mistralvoiceintegrations"], "verbs": ["get", "list"]}],
    "nothing": [],
}


@dataclass
class Office:
    """A control plane, two tenants' namespaces, and a ServiceAccount for each role in the first."""

    cluster: ApiServer
    client: Client
    folder: Path
    own: str
    other: str
    port: int = 0
    _control_plane: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def origin(self) -> str:
        """Where the control plane listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """The ledger's database."""
        return f"sqlite:///{self.folder}/ledger.db"

    async def start(self) -> None:
        """Run the control plane, on the port that it had before, and wait until it answers."""
        argv = [
            "--name",
            "control-plane-0",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--metrics-port",
            "0",
            "--brokers",
            "voice/broker",
        ]
        settings = parse([*argv, "--database-url", self.database_url, "--lease-name", f"control-plane-{self.own}"])
        access = await load_access(self.cluster.kubeconfig)

        async def started() -> int:
            try:
                return (await self._control_plane.enter_async_context(running_control_plane(settings, access))).port
            except OSError as error:
                # While nobody listened there, another test's server may have been given the port for a while.
                if error.errno != errno.EADDRINUSE:
                    raise
                return 0

        self.port = await eventually(started, "the former port", every_seconds=0.2)
        token = await self.token("all-plans")

        async def ready() -> bool:
            return (await self.ask("/plans/iron/usage", token))[0] == 200

        await eventually(ready, "the control plane's plans")

    async def stop(self) -> None:
        """Stop the control plane."""
        await self._control_plane.aclose()

    async def token(self, account: str, audience: str | None = CONTROL_PLANE_AUDIENCE) -> str:
        spec = {"expirationSeconds": 3600, **({"audiences": [audience]} if audience else {})}
        body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}).encode()
        call = Call("create", "POST", SERVICE_ACCOUNT, self.own, account, "token", {}, body)
        made: str = json.loads(await self.client._transport.request(call))["status"]["token"]
        return made

    async def ask(self, path: str, token: str) -> tuple[int, Any]:
        whole = f"{self.origin}/api/v1" + path.format(own=self.own, other=self.other)
        async with aiohttp.ClientSession() as http, http.get(whole, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def an_office(cluster: ApiServer, client: Client, folder: Path, **spec: Any) -> AsyncIterator[Office]:
    """Make all but the control plane's start; `spec` changes the plans `gold` and `iron`. Its end is the control plane's."""
    install_crds(cluster)
    own, other = (f"t-{secrets.token_hex(5)}" for _ in range(2))
    for name in (own, other):
        await client.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for plan in ("gold", "iron"):
        body = {"apiVersion": API_VERSION, "kind": PLAN_KIND, "metadata": {"name": plan}, "spec": plan_spec(**spec)}
        await client.apply(PLANS, None, plan, body, field_manager="platform", force=True)
    pool = {"keys": [{"name": "first", "secretRef": {"name": "mistral-main"}}]}
    body = {"apiVersion": API_VERSION, "kind": POOL_KIND, "metadata": {"name": "main"}, "spec": pool}
    await client.apply(POOLS, None, "main", body, field_manager="platform", force=True)
    file = folder / "roles.yaml"
    file.write_text(yaml.safe_dump_all(item for role in ROLES for item in _granted(role, own)))
    cluster.kubectl("apply", "-f", str(file))
    await _granted_to_the_last(cluster, own)
    office = Office(cluster, client, folder, own, other)
    try:
        yield office
    finally:
        await office.stop()


async def _granted_to_the_last(cluster: ApiServer, namespace: str) -> None:
    """Wait until the API server has heard of the rights that were given last: it hears of bindings in their order, a moment later."""
    of_pools = ("get", f"{POOL_PLURAL}.{GROUP}", "--subresource=status")
    of_integrations = ("list", f"{PLURAL}.{GROUP}", "--namespace", namespace)
    for role, question in (("platform", of_pools), ("tenant", of_integrations)):
        asked = ("auth", "can-i", *question, "--as", f"system:serviceaccount:{namespace}:{role}")
        await eventually(partial(_is_yes, cluster, asked), f"the rights of {role}")


def _is_yes(cluster: ApiServer, question: Sequence[str]) -> bool:
    return cluster.kubectl(*question, check=False).stdout.strip() == "yes"


def _granted(role: str, namespace: str) -> list[dict[str, Any]]:
    name, kind = f"{namespace}-{role}", "Role" if role == "tenant" else "ClusterRole"
    where = {"namespace": namespace} if role == "tenant" else {}
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": role, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role, "namespace": namespace}},
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name, **where}, "rules": ROLES[role]},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": {"name": name, **where},
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [subject],
        },
    ]
