"""Where a benchmark of the operator takes place: a fresh API server without controllers, Mistral simulated over TLS, keys in Secrets."""

import asyncio
import contextlib
import os
import shlex
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from mistral_voice.contract.secret import Secret
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import NotFound
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import NAMESPACE, SECRET, Resource
from mistral_voice.simulator.keys import Key
from tests.bench.integrations import key_of_team, key_secret, namespaces
from tests.cluster import ApiServer, api_server
from tests.support.operator import OperatorProcess, running_operator
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.waiting import eventually

IMAGE = "mistral-voice-operator:bench"
IN_FLIGHT = 20
_CRDS = Path(__file__).resolve().parents[2] / "crds"


@dataclass(frozen=True)
class Bench:
    """One API server, one simulated Mistral, and the operator's settings for them."""

    cluster: ApiServer
    client: Client
    mistral: SimulatorHandle
    settings: dict[str, Any] = field(repr=False)

    @contextlib.asynccontextmanager
    async def operator(self, *, wait_ready: bool = True, identity: str = "operator-0", **settings: Any) -> AsyncIterator[OperatorProcess]:
        """Run the operator while the context lasts. `BENCH_LAUNCHER="python -m cProfile -o FILE"` profiles it."""
        profiler = os.environ.get("BENCH_LAUNCHER")
        launcher = [*shlex.split(profiler), "-m", "mistral_voice.cli.main"] if profiler else None
        whole = {**self.settings, **settings}
        folder, kubeconfig = self.cluster.folder, self.cluster.kubeconfig
        async with running_operator(kubeconfig, folder, identity=identity, wait_ready=wait_ready, launcher=launcher, **whole) as operator:
            yield operator

    async def create_all(self, resource: Resource, bodies: Sequence[KubeObject]) -> list[KubeObject]:
        """Create objects, 20 at a time, and return them."""
        free = asyncio.Semaphore(IN_FLIGHT)

        async def create(body: KubeObject) -> KubeObject:
            async with free:
                return await self.client.create(resource, body["metadata"].get("namespace"), body)

        return list(await asyncio.gather(*map(create, bodies)))


async def _is_served(client: Client) -> bool:
    try:
        await client.list_all(INTEGRATION)
    except NotFound:
        return False
    return True


@contextlib.asynccontextmanager
async def bench(size: int) -> AsyncIterator[Bench]:
    """Set up the place for so many integrations: their namespaces, each with a key of its own that the simulator takes."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    with api_server() as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(_CRDS))
        async with running_simulator(tls=tls) as mistral, Client(await load_access(cluster.kubeconfig), connections=IN_FLIGHT) as client:
            await eventually(lambda: _is_served(client), "the CRD to be served")
            endpoint = {"name": "default", "url": mistral.base_url, "caBundle": authority.cert_pem.bytes().decode()}
            settings = {"image": IMAGE, "endpoints": [endpoint], "logLevel": "warning"}
            place = Bench(cluster, client, mistral, settings)
            teams = namespaces(size)
            bodies = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}} for team in teams]
            await place.create_all(NAMESPACE, bodies)
            await place.create_all(SECRET, [key_secret(team) for team in teams])
            for team in teams:
                mistral.simulator.keys.put(Key(team, Secret(key_of_team(team))))
            yield place
