"""What all node tests share: one cluster with one installation of the chart, and Mistral simulated twice, scripted and live.

A cluster is filled once (`installation`), by whichever process began the run; each of its processes makes its own `Place` of it.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import ssl
import tarfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import trustme
import yaml

from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.objects import KubeObject
from tests.cluster import ClusterError, NodeCluster, kind_cluster
from tests.cluster.images import ImageRequest, Images
from tests.cluster.progress import Progress
from tests.demo.place import CHART, REPOSITORY
from tests.demo.place import IMAGE as DEMO_IMAGE
from tests.support.port_forward import port_forward
from tests.support.simulator import SimulatorHands

MANIFESTS: Final = Path(__file__).parent / "manifests"
SIMULATOR: Final = REPOSITORY / "tests" / "demo" / "manifests" / "simulator.yaml"
RELEASE: Final = "mistral-voice-operator"
SYSTEM: Final = "voice-test-system"
"""The operator's namespace."""
MISTRAL: Final = "voice-test-mistral"
"""The simulators' namespace."""
LIVE_KEY: Final = "simulated-live-key-0001"
API_SECONDS: Final = 60.0
"""How long the API server may take to answer: what a test asks for only once is not to fail because the node is busy."""
ANSWER_SECONDS: Final = 10
"""How long a pod may take to answer."""
SCRIPTED: Final = "scripted"
LIVE: Final = "live"
"""Names of the simulators, and `LIVE` of the endpoint that leads to it; the scripted one's is `default`."""


def image_name() -> str:
    """Return the image of everything. A cluster that is not ours finds it on a registry: E2E_IMAGE names it there."""
    return os.environ.get("E2E_IMAGE") or DEMO_IMAGE


@dataclass(frozen=True)
class Installation:
    """A cluster with operator and simulators in it.

    Attributes:
        cluster: whoever began the run removes it.
        values_file: what the chart was installed with.
        authority: who signed the simulators' certificates, as PEM.
        archive: the image's; None where the cluster pulled it.
    """

    cluster: NodeCluster
    values_file: Path
    authority: str
    archive: Path | None

    def as_text(self) -> str:
        """Return all that another process needs to use it."""
        cluster = {name: str(getattr(self.cluster, name)) for name in _PATHS}
        archive = None if self.archive is None else str(self.archive)
        others = {"values_file": str(self.values_file), "authority": self.authority, "archive": archive}
        return json.dumps({"cluster": cluster, "name": self.cluster.name, **others})

    @classmethod
    def from_text(cls, text: str) -> "Installation":
        """Return what another process told by `as_text`."""
        told = json.loads(text)
        paths = {name: Path(path) for name, path in told["cluster"].items()}
        cluster = NodeCluster(**paths, environ=dict(os.environ), name=told["name"])
        return cls(cluster, Path(told["values_file"]), told["authority"], Path(told["archive"]) if told["archive"] else None)


_PATHS: Final = ("kubeconfig", "kubectl_path", "helm_path", "folder")


@dataclass(frozen=True)
class Place:
    """The cluster with all that tests have in common, for one process."""

    installation: Installation
    client: Client
    mistral: SimulatorHands

    @property
    def cluster(self) -> NodeCluster:
        """The cluster."""
        return self.installation.cluster

    def other_name_of_image(self, pod: KubeObject) -> dict[str, str]:
        """Return the chart's values that name the image of a pod otherwise: by its id if it was loaded, by its digest if it was pulled."""
        if self.installation.archive is not None:
            with tarfile.open(self.installation.archive) as archive:
                manifest = archive.extractfile("manifest.json")
                assert manifest is not None
                configuration = Path(json.load(manifest)[0]["Config"])
            return {"repository": "sha256", "tag": configuration.stem}
        name, _, digest = pod["status"]["containerStatuses"][0]["imageID"].rpartition("@")
        return {"repository": name, "digest": digest}

    def upgrade(self, **values: Any) -> None:
        """Upgrade the chart to these values on top of the tests' own, and wait until the operator is ready."""
        more = self.installation.values_file.with_suffix(".more.yaml")
        more.write_text(yaml.safe_dump(values))
        install(self.cluster, self.installation.values_file, more)

    def operator_pods(self) -> list[dict[str, Any]]:
        """Return the operator's pods that are not about to go."""
        labels = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
        arguments = ["get", "pods", "-n", SYSTEM, "-l", labels, "-o", "json"]
        items: list[dict[str, Any]] = json.loads(self.cluster.kubectl(*arguments).stdout)["items"]
        return [item for item in items if not item["metadata"].get("deletionTimestamp")]

    async def pod_answers(self, namespace: str, pod: str, path: str, port: int = 9090) -> str | None:
        """Return what a pod answers over HTTP, by way of the API server; None for a refusal or failure, and if it says nothing.

        A pod that is about to go may have lost its network while the API server still forwards to it: such a call never ends by itself.
        """
        raw = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
        limit = f"--request-timeout={ANSWER_SECONDS}s"
        answer = await asyncio.to_thread(self.cluster.kubectl, "get", "--raw", raw, limit, check=False)
        return answer.stdout if answer.returncode == 0 else None


def install(cluster: NodeCluster, *values: Path) -> None:
    """Install the chart or upgrade it, and wait until its pods are ready."""
    files = [argument for file in values for argument in ("--values", str(file))]
    try:
        cluster.helm("upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM, *files, "--wait", "--timeout", "240s")
    except ClusterError as error:
        pods = cluster.kubectl("get", "pods", "-n", SYSTEM, check=False).stdout
        words = cluster.kubectl("logs", "-n", SYSTEM, "-l", f"app.kubernetes.io/instance={RELEASE}", "--tail=20", check=False).stdout
        raise ClusterError(f"{error}\n\n{pods}\n{words}") from error
    _wait_for_former_pods(cluster)


def _wait_for_former_pods(cluster: NodeCluster) -> None:
    """Helm is content with some new pods that are ready: the old ones may yet lead, and go in the midst of the next test."""
    ours = ["-n", SYSTEM, "-l", f"app.kubernetes.io/instance={RELEASE}"]
    for name in cluster.kubectl("get", "deployments", *ours, "-o", "name").stdout.split():
        cluster.kubectl("rollout", "status", name, "-n", SYSTEM, "--timeout", "240s", timeout_seconds=300)
    leaving = "{range .items[?(@.metadata.deletionTimestamp)]}pod/{.metadata.name} {end}"
    if names := cluster.kubectl("get", "pods", *ours, "-o", f"jsonpath={leaving}").stdout.split():
        cluster.kubectl("wait", "--for=delete", *names, "-n", SYSTEM, "--timeout", "240s", timeout_seconds=300)


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """Have a cluster with everything in it while the body runs; what was put into it is removed if the cluster is not ours."""
    ours = os.environ.get("CLUSTER") != "existing"
    with ThreadPoolExecutor(1) as beside, kind_cluster() as cluster:
        # An image that isn't in the cache yet is built while the cluster starts.
        building = beside.submit(_image_archive) if ours else None
        cluster.kubectl("apply", "--server-side", "--filename", str(MANIFESTS))
        for namespace in (SYSTEM, MISTRAL):
            cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(restricted_namespace(namespace)))
        archive = building.result() if building is not None else None
        if archive is not None:
            cluster.load(archive)
        authority = trustme.CA()
        with _cleared(cluster):
            for name in (SCRIPTED, LIVE):
                _start_simulator(cluster, authority, name)
            values = cluster.folder / "values.yaml"
            values.write_text(yaml.safe_dump(_values(authority)))
            install(cluster, values)
            cluster.kubectl("rollout", "status", f"deployment/{SCRIPTED}", "-n", MISTRAL, "--timeout", "240s", timeout_seconds=300)
            yield Installation(cluster, values, authority.cert_pem.bytes().decode(), archive)


@contextlib.asynccontextmanager
async def place_in(installation: Installation) -> AsyncIterator[Place]:
    """Have what one process needs to work with an installation while the context lasts."""
    tls = ssl.create_default_context(cadata=installation.authority)
    async with (
        Client(await load_access(installation.cluster.kubeconfig), timeout_seconds=API_SECONDS) as client,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
    ):
        with port_forward(installation.cluster, MISTRAL, f"deployment/{SCRIPTED}", 8443) as port:
            yield Place(installation, client, SimulatorHands(f"https://localhost:{port}", http))


def _image_archive() -> Path:
    return Images(os.environ, Progress()).archive(ImageRequest(REPOSITORY / "Dockerfile", "demo", DEMO_IMAGE))


def restricted_namespace(name: str) -> dict[str, Any]:
    """Return a namespace in which only what meets the strictest of the Pod Security Standards runs."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _start_simulator(cluster: NodeCluster, authority: trustme.CA, name: str) -> None:
    certificate = authority.issue_cert(_host(name), "localhost")
    files = {
        "tls.crt": b"".join(pem.bytes() for pem in certificate.cert_chain_pems),
        "tls.key": certificate.private_key_pem.bytes(),
        "keys.json": json.dumps([{"id": "live", "value": LIVE_KEY}]).encode(),
    }
    data = {file: base64.b64encode(content).decode() for file, content in files.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": MISTRAL}, "data": data}
    service, deployment = yaml.safe_load_all(SIMULATOR.read_text())
    for item in (service, deployment):
        item["metadata"] = {"name": name, "namespace": MISTRAL}
    service["spec"]["selector"] = deployment["spec"]["selector"]["matchLabels"] = {"app": name}
    template = deployment["spec"]["template"]
    # A simulator that ran in this cluster before has another certificate.
    template["metadata"] = {"labels": {"app": name}, "annotations": {"run": secrets.token_hex(4)}}
    template["spec"]["volumes"][0]["secret"]["secretName"] = name
    container = template["spec"]["containers"][0]
    container["image"] = image_name()
    if name == SCRIPTED:
        container["args"].remove("--live")
        container["resources"] = {}
    cluster.kubectl("apply", "--server-side", "--filename", "-", stdin=yaml.safe_dump_all([secret, service, deployment]))


def _host(name: str) -> str:
    return f"{name}.{MISTRAL}.svc.cluster.local"


def _values(authority: trustme.CA) -> dict[str, Any]:
    repository, _, tag = image_name().rpartition(":")
    egress = [{"cidr": "0.0.0.0/0", "ports": [443, 8443]}]
    bundle = authority.cert_pem.bytes().decode()
    endpoints = [
        {"name": name, "url": f"https://{_host(simulator)}", "caBundle": bundle, "egress": egress}
        for name, simulator in (("default", SCRIPTED), (LIVE, LIVE))
    ]
    resources = {"requests": {"cpu": "50m", "memory": "128Mi"}}
    # Integrations of tests that have ended may be there for a while, and no test shall wait for the turn of theirs.
    pace = {"rolloutPace": 100}
    small = {"resources": {"requests": {"cpu": "30m", "memory": "96Mi"}}}
    claim = {"storage": {"size": "1Gi"}}
    managed = {
        "controlPlane": {"enabled": True, "database": {"sqlite": claim}, "backup": claim, **small},
        # Brokers speak with the voice that answers in words.
        "broker": {"mistral": {"url": f"https://{_host(LIVE)}", "caBundle": bundle}, **small},
    }
    return {
        "image": {"repository": repository, "tag": tag},
        "replicas": 2,
        "endpoints": endpoints,
        "resources": resources,
        **pace,
        **managed,
    }


@contextlib.contextmanager
def _cleared(cluster: NodeCluster) -> Iterator[None]:
    try:
        yield
    finally:
        if cluster.name is None:
            cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait", check=False)
            cluster.kubectl("delete", "namespace", SYSTEM, MISTRAL, "--ignore-not-found", check=False)
            cluster.kubectl(
                "delete", "--ignore-not-found", "--filename", str(MANIFESTS), "--filename", str(REPOSITORY / "crds"), check=False
            )
