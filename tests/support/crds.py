"""Our kinds in a cluster."""

import time
from pathlib import Path
from typing import Final

from mistral_voice.contract.names import GROUP, PLAN_PLURAL, PLURAL, POOL_PLURAL
from tests.cluster import Cluster
from tests.support.waiting import WAIT_SECONDS

CRDS: Final = Path(__file__).resolve().parents[2] / "crds"
_KINDS: Final = ",".join(f"{plural}.{GROUP}" for plural in (PLURAL, PLAN_PLURAL, POOL_PLURAL))


def install_crds(cluster: Cluster) -> None:
    """Have our kinds served."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    wait_for_crds(cluster)


def wait_for_crds(cluster: Cluster) -> None:
    """Wait until our kinds are served, and found by whoever looks for them: that they are established is said a moment before."""
    cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), f"--timeout={WAIT_SECONDS:g}s")
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := cluster.kubectl("get", _KINDS, "--all-namespaces", "--output=name", check=False)).returncode != 0:
        assert time.monotonic() < deadline, found.stderr
