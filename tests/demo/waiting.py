"""Waiting for what a cluster does, and saying meanwhile what for."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.cluster import NodeCluster
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress

_POLL_SECONDS = 0.5
_HOPELESS_RESTARTS = 4


def wait_until(progress: Progress, title: str, missing: Callable[[], str | None], timeout_seconds: float) -> None:
    """Wait until `missing` returns None; what it returns before is shown.

    Raises:
        ClusterError: it did not happen in time; the text says what was missing last.
    """
    deadline = time.monotonic() + timeout_seconds
    with progress.step(title) as step:
        while (reason := missing()) is not None:
            if time.monotonic() > deadline:
                raise ClusterError(f"{title}: not done in {timeout_seconds:.0f} s. {reason}")
            step.update(reason)
            time.sleep(_POLL_SECONDS)


def get(cluster: NodeCluster, *arguments: str) -> dict[str, Any]:
    """Return one object, or an empty one if it is not there."""
    result = cluster.kubectl("get", *arguments, "--output", "json", "--ignore-not-found")
    value: dict[str, Any] = json.loads(result.stdout) if result.stdout.strip() else {}
    return value


def deployment_missing(cluster: NodeCluster, namespace: str, name: str) -> str | None:
    """Return what a Deployment lacks to have a pod of its newest template, or None. Raises ClusterError if it won't get one."""
    deployment = get(cluster, "--namespace", namespace, "deployment", name)
    if not deployment:
        return f"There is no deployment {namespace}/{name} yet."
    status, metadata = deployment.get("status", {}), deployment["metadata"]
    current = status.get("observedGeneration", 0) >= metadata["generation"]
    if current and status.get("updatedReplicas", 0) >= 1 and status.get("availableReplicas", 0) >= 1:
        newest = deployment["spec"]["replicas"] == status.get("updatedReplicas", 0)
        if newest and status.get("unavailableReplicas", 0) < deployment["spec"]["replicas"]:
            return None
    labels = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
    return _pods_missing(cluster, namespace, labels)


def integration_missing(cluster: NodeCluster, namespace: str, name: str) -> str | None:
    """Return what an integration lacks to be ready, in the words of its conditions, or None."""
    integration = get(cluster, "--namespace", namespace, "mistralvoiceintegration", name)
    status = integration.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    current = status.get("observedGeneration") == integration.get("metadata", {}).get("generation")
    if not conditions or not current:
        return "The operator has not looked at it yet."
    if conditions["Ready"]["status"] == "True":
        under_way = conditions["Reconciling"]
        return str(under_way["message"]) if under_way["status"] == "True" else None
    for kind in ("ConfigValid", "CredentialResolved", "GatewayAvailable", "Healthy", "Ready"):
        condition = conditions.get(kind, {})
        if condition.get("status") != "True":
            return f"{kind} is {condition.get('status', 'not set')}: {condition.get('message') or condition.get('reason', '')}"
    return "Ready is not set."


def _pods_missing(cluster: NodeCluster, namespace: str, selector: str) -> str:
    pods = get(cluster, "--namespace", namespace, "pods", "--selector", selector).get("items", [])
    if not pods:
        return "There is no pod yet."
    # During a roll-out the older pods' trouble is about to go with them.
    newest = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    containers = newest.get("status", {}).get("containerStatuses", [])
    for container in containers:
        if not container.get("ready") and container.get("restartCount", 0) >= _HOPELESS_RESTARTS:
            raise ClusterError(f"The pod {namespace}/{newest['metadata']['name']} ends again and again.")
        if waiting := container.get("state", {}).get("waiting"):
            return f"Its newest pod: {waiting.get('reason', '')} {waiting.get('message', '')}".strip()
    if containers and not all(container.get("ready") for container in containers):
        return "Its newest pod has started and is not ready yet."
    return f"Its newest pod: {newest.get('status', {}).get('phase', 'unknown').lower()}."
