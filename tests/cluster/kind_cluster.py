"""A whole cluster for as long as a test session, or the one that the user names."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, MissingPrerequisite
from tests.cluster.guardian import Guardian
from tests.cluster.kind import EXISTING, KindClusters
from tests.cluster.progress import Progress

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class NodeCluster(Cluster):
    """A cluster whose pods run.

    Attributes:
        name: kind's name for it; None is a cluster that is not ours.
    """

    name: str | None

    def load(self, archive: Path) -> None:
        """Make the images of an archive available to pods; for a cluster that is not ours they have to be there already."""
        if self.name is not None:
            KindClusters(self.environ, Progress()).load(self.name, archive)


@contextmanager
def kind_cluster(name: str | None = None) -> Iterator[NodeCluster]:
    """Have a cluster while the body runs; nothing of it is left afterwards, also after `kill -9` of this process.

    With `CLUSTER=existing` in the environment it is the one of the current kubeconfig, and nothing is created or deleted.

    Args:
        name: for kind; by default one that no other process uses.

    Raises:
        ClusterError: no cluster could be had.
    """
    environ = dict(os.environ)
    match environ.get("CLUSTER", "kind"):
        case "existing":
            with existing_cluster(environ) as cluster:
                yield cluster
        case "kind" | "":
            with _guarded_kind_cluster(name or f"voice-test-{os.getpid()}", environ) as cluster:
                yield cluster
        case other:
            raise ClusterError(f"CLUSTER is {other!r}: it may be `kind` (the default) or `{EXISTING}`.")


@contextmanager
def existing_cluster(environ: Mapping[str, str]) -> Iterator[NodeCluster]:
    """The cluster of the current kubeconfig, by a copy of it that follows no later change of context."""
    kubectl, helm = _required_on_path("kubectl", environ), _required_on_path("helm", environ)
    with tempfile.TemporaryDirectory(prefix="existing-cluster-") as name:
        folder = Path(name)
        argv = [str(kubectl), "config", "view", "--raw", "--minify", "--flatten"]
        shown = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=False)
        if shown.returncode != 0:
            raise ClusterError(f"CLUSTER={EXISTING} wants a current context in the kubeconfig: {shown.stderr.strip()}.")
        kubeconfig = folder / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(shown.stdout)
        yield NodeCluster(kubeconfig=kubeconfig, kubectl_path=kubectl, helm_path=helm, folder=folder, environ=environ, name=None)


@contextmanager
def _guarded_kind_cluster(name: str, environ: Mapping[str, str]) -> Iterator[NodeCluster]:
    clusters = KindClusters(environ, Progress())
    command = [sys.executable, "-m", "tests.cluster", "kind"]
    with Guardian() as guardian:
        folder = guardian.folder("kind-cluster-")
        kubeconfig = folder / "kubeconfig"
        guardian.finally_run([*command, "down", "--name", name], env=environ, cwd=REPOSITORY)
        if guardian.run([*command, "up", "--name", name, "--kubeconfig", kubeconfig], env=environ, cwd=REPOSITORY) != 0:
            raise ClusterError(f"The cluster {name} could not be made: see the messages above.")
        tools = clusters.tools(name)
        yield NodeCluster(
            kubeconfig=kubeconfig, kubectl_path=tools.kubectl, helm_path=tools.helm, folder=folder, environ=environ, name=name
        )


def _required_on_path(program: str, environ: Mapping[str, str]) -> Path:
    path = shutil.which(program, path=environ.get("PATH"))
    if path is None:
        raise MissingPrerequisite(f"CLUSTER={EXISTING} uses the {program} on the PATH, and there is none: install it and try again.")
    return Path(path)
