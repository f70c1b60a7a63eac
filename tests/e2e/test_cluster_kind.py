"""The cluster of the tests itself: its node runs pods of loaded images, Services have names, and nothing of it is left."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.cluster import NodeCluster
from tests.cluster.cache import cache_root
from tests.cluster.host_traces import present_traces
from tests.cluster.images import ImageRequest, Images
from tests.cluster.progress import Progress

REPOSITORY = Path(__file__).parents[2]
IMAGE = "localhost/mistral-voice-cluster-test:web"
DOCKERFILE = 'ARG BASE=python:3.13-slim\nFROM ${BASE} AS web\nCMD ["python3", "-m", "http.server", "8000"]\n'
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: {IMAGE}
        imagePullPolicy: IfNotPresent
        readinessProbe: {{httpGet: {{path: /etc/hostname, port: 8000}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8000}}]}}
"""
OWNER = """
import os, signal, subprocess
from tests.cluster import kind_cluster
with kind_cluster() as cluster:
    print(cluster.name, cluster.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

only_with_kind = pytest.mark.skipif(os.environ.get("CLUSTER") == "existing", reason="the cluster is not ours to fill or remove")


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.2)


def test_the_node_is_ready(cluster: NodeCluster) -> None:
    conditions = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    assert set(cluster.kubectl("get", "nodes", "--output", f"jsonpath={conditions}").stdout.split()) == {"True"}


@only_with_kind
def test_a_loaded_image_serves_by_its_services_name(cluster: NodeCluster, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    cluster.load(Images(os.environ, Progress()).archive(ImageRequest(tmp_path / "Dockerfile", "web", IMAGE)))
    cluster.kubectl("create", "namespace", "cluster-test")
    cluster.kubectl("apply", "--namespace", "cluster-test", "--filename", "-", stdin=WEB)
    cluster.kubectl("rollout", "status", "deployment/web", "--namespace", "cluster-test", "--timeout", "170s")
    fetch = (
        "import urllib.request as r; print(r.urlopen('http://web.cluster-test.svc.cluster.local/etc/hostname', timeout=5).read().decode())"
    )
    command = ["exec", "--namespace", "cluster-test", "deployment/web", "--", "python3", "-c", fetch]
    # The first call after a roll-out may come before kube-proxy knows the endpoint.
    wait_until(lambda: cluster.kubectl(*command, check=False).stdout.startswith("web-"), seconds=90)
    cluster.kubectl("delete", "namespace", "cluster-test", "--wait=false")


@only_with_kind
@pytest.mark.timeout(600)
def test_a_killed_owner_leaves_nothing_of_its_cluster() -> None:
    before = what_the_machine_has()
    owner = subprocess.run([sys.executable, "-c", OWNER], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    name, folder = owner.stdout.split()
    record = cache_root(os.environ) / "clusters" / f"{name}.json"
    wait_until(lambda: not record.exists() and not Path(folder).exists(), seconds=240)
    wait_until(lambda: not processes_naming(name), seconds=90)
    wait_until(lambda: what_the_machine_has() <= before, seconds=60)


def what_the_machine_has() -> set[str]:
    """Mounts, network interfaces and whatever else clusters change."""
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return mounts | set(psutil.net_if_addrs()) | set(present_traces())


def processes_naming(name: str) -> list[str]:
    """The command lines in which a cluster is named."""
    command_lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in command_lines if name in line]
