"""kind, kubectl and Helm: those on the PATH where they fit, else our own."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import Binaries, kubernetes_version
from tests.cluster.provider import Provider

OLDEST_KIND = (0, 30)
OLDEST_HELM = (3, 14)
# https://kubernetes.io/releases/version-skew-policy/#kubectl
KUBECTL_SKEW = 1


@dataclass(frozen=True)
class Tools:
    """The programs for one cluster."""

    kind: Path
    kubectl: Path
    helm: Path


def find_tools(provider: Provider, binaries: Binaries, environ: Mapping[str, str]) -> Tools:
    """The programs for a cluster of this provider, built if need be.

    With podman they are our own: the node's image is made of the same Kubernetes and the same kind, so they are there anyway.
    """
    kind = find_kind(provider, binaries, environ)
    if provider is Provider.PODMAN:
        programs = binaries.kubernetes()
        return Tools(kind, programs / "kubectl", programs / "helm")
    search = environ.get("PATH")
    kubectl = _fitting("kubectl", ["version", "--client"], _fits_our_kubernetes, search)
    helm = _fitting("helm", ["version", "--short"], lambda version: version >= OLDEST_HELM, search)
    return Tools(
        kind=kind,
        kubectl=kubectl or binaries.kubernetes() / "kubectl",
        helm=helm or binaries.kubernetes() / "helm",
    )


def find_kind(provider: Provider, binaries: Binaries, environ: Mapping[str, str]) -> Path:
    """kind alone, which is all that loading an image or removing a cluster takes."""
    fitting = None
    if provider is not Provider.PODMAN:
        fitting = _fitting("kind", ["version"], lambda version: version >= OLDEST_KIND, environ.get("PATH"))
    return fitting or binaries.kind()


def parse_version(text: str) -> tuple[int, int] | None:
    """The first `v1.2…` in what a program prints about itself."""
    match = re.search(r"\bv(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _fits_our_kubernetes(version: tuple[int, int]) -> bool:
    ours = parse_version(kubernetes_version())
    return ours is not None and version[0] == ours[0] and version[1] >= ours[1] - KUBECTL_SKEW


def _fitting(name: str, arguments: Sequence[str], fits: Callable[[tuple[int, int]], bool], search: str | None) -> Path | None:
    path = shutil.which(name, path=search)
    if path is None:
        return None
    try:
        result = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = parse_version(result.stdout)
    return Path(path) if result.returncode == 0 and version is not None and fits(version) else None
