"""The demo from nothing to a spoken answer, and back to nothing."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import NodeCluster
from tests.cluster.errors import ClusterError
from tests.cluster.images import ImageRequest, Images
from tests.cluster.kind import KindClusters
from tests.cluster.kind_cluster import existing_cluster
from tests.cluster.progress import Progress
from tests.demo import place
from tests.demo.conversation import ask, speak_question
from tests.demo.mistral import URL, Credentials, credentials
from tests.demo.place import CHART, FOLDER, INTEGRATION, MANIFESTS, MISTRAL, RELEASE, REPOSITORY, SYSTEM, TEAM
from tests.demo.report import report
from tests.demo.waiting import deployment_missing, get, integration_missing, wait_until

_LOG_LINES = 20
_WAIT_SECONDS = 180.0


class Demo:
    """The demo. Every step may be repeated: what is there already is kept or brought up to date."""

    def __init__(self, environ: Mapping[str, str], progress: Progress) -> None:
        self._environ = environ
        self._progress = progress

    def up(self) -> str:
        """Make everything, ask the question and return the text that tells of it.

        Raises:
            ClusterError: a step failed; the text says which, and what the cluster says about it.
        """
        archive = self._image()
        with place.demo_cluster(self._environ, self._progress) as cluster, self._explained(cluster):
            place.link_programs(cluster)
            mistral = credentials(FOLDER / "mistral")
            cluster.kubectl("apply", "--filename", str(MANIFESTS / "namespaces.yaml"))
            changed = self._load(cluster, archive)
            self._start_mistral(cluster, mistral)
            self._install_operator(cluster, mistral)
            if changed:
                _restart(cluster)
            self._create_integration(cluster, mistral)
            speak_question(FOLDER / "question.wav")
            self._wait(cluster)
            with self._progress.step("Asking the question"):
                talk = ask(cluster, FOLDER / "question.wav", FOLDER / "reply.wav", FOLDER / "token")
            return report(cluster, talk)

    def down(self) -> None:
        """Remove everything that `up` made; what isn't there is no error."""
        if place.uses_existing(self._environ):
            with existing_cluster(self._environ) as cluster, self._progress.step("Removing the demo from the cluster"):
                _remove_from(cluster)
        else:
            KindClusters(self._environ, self._progress).down(place.CLUSTER)
        shutil.rmtree(FOLDER, ignore_errors=True)

    def _image(self) -> Path | None:
        place.image_name(self._environ)
        if place.uses_existing(self._environ):
            return None
        return Images(self._environ, self._progress).archive(ImageRequest(REPOSITORY / "Dockerfile", "demo", place.IMAGE))

    def _load(self, cluster: NodeCluster, archive: Path | None) -> bool:
        """Put the image into the cluster unless it is there. Return whether an older one was replaced, so that its pods have to go."""
        if archive is None:
            return False
        # The archive lies in a folder that is named after what it was made from.
        version = archive.parent.name
        annotations = get(cluster, "namespace", MISTRAL)["metadata"].get("annotations", {})
        loaded = annotations.get(place.IMAGE_ANNOTATION)
        if loaded == version:
            return False
        cluster.load(archive)
        cluster.kubectl("annotate", "namespace", MISTRAL, f"{place.IMAGE_ANNOTATION}={version}", "--overwrite")
        return loaded is not None

    def _start_mistral(self, cluster: NodeCluster, mistral: Credentials) -> None:
        with self._progress.step(f"Starting the simulated Mistral in namespace {MISTRAL}"):
            files = [f"--from-file={mistral.folder / name}" for name in ("tls.crt", "tls.key", "keys.json")]
            _apply_secret(cluster, MISTRAL, "simulator", *files)
            manifest = _simulator(place.image_name(self._environ), mistral.digest)
            cluster.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(manifest))

    def _install_operator(self, cluster: NodeCluster, mistral: Credentials) -> None:
        values = FOLDER / "values.yaml"
        values.write_text(yaml.safe_dump(_chart_values(cluster, mistral, place.image_name(self._environ)), sort_keys=False))
        with self._progress.step(f"Installing the operator with Helm in namespace {SYSTEM}"):
            cluster.helm("upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM, "--values", str(values))

    def _create_integration(self, cluster: NodeCluster, mistral: Credentials) -> None:
        with self._progress.step(f"Applying the Secret and the twelve lines of {MANIFESTS.relative_to(REPOSITORY)}/integration.yaml"):
            _apply_secret(cluster, TEAM, "mistral", f"--from-file=apiKey={mistral.folder / 'first-key'}")
            cluster.kubectl("apply", "--filename", str(MANIFESTS / "integration.yaml"))

    def _wait(self, cluster: NodeCluster) -> None:
        wait_until(
            self._progress,
            "Waiting for the simulated Mistral (it loads a recogniser and a voice)",
            lambda: deployment_missing(cluster, MISTRAL, "simulator"),
            _WAIT_SECONDS,
        )
        wait_until(self._progress, "Waiting for the operator", lambda: deployment_missing(cluster, SYSTEM, RELEASE), _WAIT_SECONDS)
        wait_until(
            self._progress,
            f"Waiting for mvi/{INTEGRATION} to be Ready",
            lambda: integration_missing(cluster, TEAM, INTEGRATION),
            _WAIT_SECONDS,
        )

    @contextmanager
    def _explained(self, cluster: NodeCluster) -> Iterator[None]:
        """Add to a failure what the cluster says."""
        try:
            yield
        except ClusterError as error:
            pods = cluster.kubectl("get", "pods", "--all-namespaces", "--selector", "component!=kube-apiserver", check=False).stdout
            arguments = [
                "--namespace",
                SYSTEM,
                "logs",
                f"--selector=app.kubernetes.io/instance={RELEASE}",
                f"--tail={_LOG_LINES}",
                "--prefix",
            ]
            log = cluster.kubectl(*arguments, check=False).stdout
            raise ClusterError(
                f"{error}\n\nPods:\n{_shown(pods)}\nThe operator's last words:\n{_shown(log)}\n"
                f"The cluster stays for you to look at: `. {FOLDER / 'env'}`. `make demo` goes on from here, `make demo-down` removes it."
            ) from error


def _simulator(image: str, credentials_digest: str) -> list[dict[str, Any]]:
    """Return the simulator's objects. It reads its files at its start, so others in them are another pod."""
    service, deployment = yaml.safe_load_all((MANIFESTS / "simulator.yaml").read_text())
    template = deployment["spec"]["template"]
    template["metadata"]["annotations"] = {"checksum/credentials": credentials_digest}
    template["spec"]["containers"][0]["image"] = image
    return [service, deployment]


def _chart_values(cluster: NodeCluster, mistral: Credentials, image: str) -> dict[str, object]:
    repository, _, tag = image.rpartition(":")
    registry, _, path = repository.partition("/")
    return {
        "image": {"registry": registry, "repository": path, "tag": tag},
        "endpoints": [{"name": "default", "url": URL, "caBundle": mistral.ca_bundle, "egress": _ways_to_mistral(cluster)}],
    }


def _ways_to_mistral(cluster: NodeCluster) -> list[dict[str, object]]:
    """Return what gateways need to reach the simulator in spite of the ban on private addresses: its Service's, and its pod's."""
    service = get(cluster, "--namespace", MISTRAL, "service", "simulator")["spec"]["clusterIP"]
    nodes = get(cluster, "nodes")["items"]
    pods = [cidr for node in nodes if (cidr := node["spec"].get("podCIDR"))] or ["0.0.0.0/0"]
    width = 128 if ":" in service else 32
    return [{"cidr": f"{service}/{width}", "ports": [443]}, *({"cidr": cidr, "ports": [8443]} for cidr in pods)]


def _apply_secret(cluster: NodeCluster, namespace: str, name: str, *contents: str) -> None:
    made = cluster.kubectl("--namespace", namespace, "create", "secret", "generic", name, *contents, "--dry-run=client", "--output", "json")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=json.dumps(json.loads(made.stdout)))


def _restart(cluster: NodeCluster) -> None:
    """Let the pods of an older image go; those that were made just now are made once more."""
    for namespace in (MISTRAL, SYSTEM, TEAM):
        cluster.kubectl("--namespace", namespace, "rollout", "restart", "deployment")


def _remove_from(cluster: NodeCluster) -> None:
    cluster.kubectl("delete", "namespace", TEAM, "--ignore-not-found")
    cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "namespace", SYSTEM, MISTRAL, "--ignore-not-found")
    cluster.kubectl("delete", "--ignore-not-found", "--filename", str(REPOSITORY / "crds"))


def _shown(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()) or "  (nothing)"
