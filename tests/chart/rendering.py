"""`helm template`, with the objects it renders as data."""

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import yaml

from tests.cluster.binaries import Binaries
from tests.cluster.cache import Cache, cache_root
from tests.cluster.progress import Progress

CHART = Path(__file__).parents[2] / "charts" / "mistral-voice-operator"
RELEASE = "voice"
NAMESPACE = "voice-system"
NAME = "voice-mistral-voice-operator"
"""What the chart calls its objects in this release."""
BROKER = f"{NAME}-broker"
CONTROL_PLANE = f"{NAME}-control-plane"
POOLS = f"{NAME}-pools"

CA_BUNDLE = trustme.CA().cert_pem.bytes().decode()

EVERYTHING: Mapping[str, Any] = {
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"team": "a"}}, "gatewayPodMonitor": {"enabled": True}},
    "prometheusRule": {"enabled": True},
    "grafanaDashboard": {"enabled": True},
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podLabels": {"team": "voice"},
    "podAnnotations": {"note": "x"},
    "controlPlane": {"enabled": True, "podLabels": {"team": "voice"}, "priorityClassName": "system-cluster-critical"},
    "broker": {"anyAddress": True, "podAnnotations": {"note": "x"}, "mistral": {"url": "https://simulator:8443", "caBundle": CA_BUNDLE}},
    "serviceAccount": {"annotations": {"a": "b"}},
    "endpoints": [
        {"name": "default", "url": "https://api.mistral.ai"},
        {
            "name": "inside",
            "url": "https://mistral.example.com:8443",
            "caBundle": CA_BUNDLE,
            "egress": [{"cidr": "10.1.0.0/16", "ports": [8443]}, {"cidr": "fd00::/8"}],
        },
    ],
}
"""Values that switch on whatever is optional."""
POSTGRESQL: Mapping[str, Any] = {
    "controlPlane": {
        "enabled": True,
        "database": {"type": "postgresql", "postgresql": {"port": 6432, "secretRef": {"name": "ledger", "caKey": "ca"}}},
        "tls": {"source": "certManager"},
        "clients": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}},
            {"ipBlock": {"cidr": "10.3.0.0/16"}},
        ],
    }
}
"""Managed mode in its other form."""
NARROW: Mapping[str, Any] = {"watchNamespaces": ["team-a", "team-b"]}

# libyaml's, if it is there: the CRDs are long, and Python's own takes most of a second over them.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class RenderingFailed(Exception):
    """Helm refused; the text is what it said."""

    text: str


@dataclass(frozen=True)
class Helm:
    """A Helm with nothing in its configuration. What was rendered once is not rendered again."""

    program: Path
    rendered: dict[str, str] = field(default_factory=dict)

    def render(self, values: Mapping[str, Any] | None = None) -> str:
        """Return the manifests for these values. Raises RenderingFailed."""
        wanted = yaml.safe_dump(dict(values or {}))
        if wanted not in self.rendered:
            self.rendered[wanted] = self.run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, values=values)
        return self.rendered[wanted]

    def objects(self, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rendered objects."""
        return [item for item in yaml.load_all(self.render(values), Loader=_LOADER) if item]

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Run Helm with a file of values and return what it prints."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(dict(values or {})))
            environment = {f"HELM_{kind}_HOME": folder for kind in ("CACHE", "CONFIG", "DATA")}
            argv = [str(self.program), *arguments, "--values", str(file)]
            result = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RenderingFailed(result.stdout + result.stderr)
        return result.stdout


def find_helm(environ: Mapping[str, str]) -> Helm:
    """Return the Helm that the test clusters are made with."""
    progress = Progress()
    return Helm(Binaries(Cache(cache_root(environ), progress), progress, environ).kubernetes() / "helm")


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the objects of a kind."""
    return [item for item in objects if item["kind"] == kind]


def one(objects: list[dict[str, Any]], kind: str, name: str = NAME) -> dict[str, Any]:
    """Return the one object of a kind and name."""
    (found,) = [item for item in of_kind(objects, kind) if item["metadata"]["name"] == name]
    return found


def series_in(text: str) -> set[str]:
    """Return the names of our series in PromQL; a histogram by its own name."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bmistral_voice_\w+", text)}
