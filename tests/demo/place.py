"""Where the demo's cluster comes from, and the names of what it puts there."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.cluster import NodeCluster
from tests.cluster.errors import ClusterError
from tests.cluster.kind import EXISTING, KindClusters
from tests.cluster.kind_cluster import existing_cluster
from tests.cluster.progress import Progress

REPOSITORY: Final = Path(__file__).parents[2]
MANIFESTS: Final = Path(__file__).parent / "manifests"
CHART: Final = REPOSITORY / "charts" / "mistral-voice-operator"
FOLDER: Final = REPOSITORY / ".demo"
"""Everything that the demo leaves on this machine, besides the cluster."""

CLUSTER: Final = "mistral-voice-demo"
IMAGE: Final = "localhost/mistral-voice-operator:demo"
RELEASE: Final = "mistral-voice-operator"
SYSTEM: Final = "mistral-voice-system"
"""The operator's namespace."""
MISTRAL: Final = "mistral"
"""The simulated Mistral's namespace."""
TEAM: Final = "demo"
"""The namespace of the team that wants a voice."""
INTEGRATION: Final = "support"
IMAGE_ANNOTATION: Final = "voice.contractspec.io/demo-image"


def uses_existing(environ: Mapping[str, str]) -> bool:
    """Return whether the demo goes into the cluster of the current kubeconfig instead of one of its own."""
    match environ.get("CLUSTER", "kind"):
        case "existing":
            return True
        case "kind" | "":
            return False
        case other:
            raise ClusterError(f"CLUSTER is {other!r}: it may be `kind` (the default) or `{EXISTING}`.")


def image_name(environ: Mapping[str, str]) -> str:
    """Return the name of the demo's image; a cluster that is not ours has to find it on a registry."""
    if not uses_existing(environ):
        return IMAGE
    given = environ.get("DEMO_IMAGE")
    if not given:
        raise ClusterError(
            "With CLUSTER=existing the cluster pulls the image from your registry: build it with `docker build --target demo`, push it, "
            "and name it in DEMO_IMAGE."
        )
    return given


@contextmanager
def demo_cluster(environ: Mapping[str, str], progress: Progress) -> Iterator[NodeCluster]:
    """Have the demo's cluster; it stays when the body ends.

    Raises:
        ClusterError: it could not be made.
    """
    FOLDER.mkdir(exist_ok=True)
    if uses_existing(environ):
        with existing_cluster(environ) as cluster:
            shutil.copy(cluster.kubeconfig, FOLDER / "kubeconfig")
            yield cluster
        return
    clusters = KindClusters(environ, progress)
    kubeconfig = FOLDER / "kubeconfig"
    clusters.up(CLUSTER, kubeconfig)
    tools = clusters.tools(CLUSTER)
    yield NodeCluster(kubeconfig, tools.kubectl, tools.helm, FOLDER / "cache", environ, CLUSTER)


def link_programs(cluster: NodeCluster) -> None:
    """Write `.demo/env`, which puts the cluster's kubectl and helm on the PATH of whoever sources it."""
    programs = FOLDER / "bin"
    programs.mkdir(exist_ok=True)
    for program in (cluster.kubectl_path, cluster.helm_path):
        # Resolved, since the program found on the PATH may be this very link.
        target = program.resolve()
        link = programs / program.name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    path = os.pathsep.join([str(programs), str(REPOSITORY / ".venv" / "bin")])
    (FOLDER / "env").write_text(f'export KUBECONFIG="{FOLDER / "kubeconfig"}"\nexport PATH="{path}:$PATH"\n')
