"""The chart, installed into a cluster that need not run its pods."""

import json
import time
from pathlib import Path

from tests.chart.rendering import CHART, NAME, RELEASE
from tests.cluster import Cluster
from tests.support.crds import wait_for_crds
from tests.support.waiting import WAIT_SECONDS

SYSTEM = "voice-system"
DENIED = "denied request"
"""What every refusal by an admission policy says."""


def install(cluster: Cluster, team: str, *settings: str) -> Path:
    """Install the chart, make the namespace `team`, wait until the admission policy is in use, and return the operator's kubeconfig."""
    cluster.kubectl("create", "namespace", team)
    cluster.helm("install", RELEASE, str(CHART), "--namespace", SYSTEM, "--create-namespace", *settings)
    wait_for_crds(cluster)
    operator = cluster.kubeconfig_for_service_account(SYSTEM, NAME)
    # The API server takes a new policy into use within a second or so.
    deadline = time.monotonic() + WAIT_SECONDS
    trial = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trial", "namespace": team}})
    arguments = ("--kubeconfig", str(operator), "create", "--dry-run=server", "--filename", "-")
    while DENIED not in cluster.kubectl(*arguments, stdin=trial, check=False).stderr:
        assert time.monotonic() < deadline, f"the policy was not in use after {WAIT_SECONDS:g} s"
        time.sleep(0.1)
    return operator
