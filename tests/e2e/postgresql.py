"""A PostgreSQL server in the cluster, for a control plane of several replicas."""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, Final

from tests.cluster.images import Images
from tests.cluster.progress import Progress
from tests.e2e.place import SYSTEM, Place, restricted_namespace

NAMESPACE: Final = "voice-test-postgresql"
SECRET_NAME: Final = "ledger"
"""The Secret of the control plane's namespace with the URL."""
_NAME: Final = "postgresql"
_OURS: Final = "localhost/mistral-voice-postgresql:test"
_PULLED: Final = "postgres:17"
"""Where images can be pulled; its programs lie where Debian's do."""
_NOBODY: Final = 65534
_START: Final = """
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
initdb -D /data/db -A trust -U postgres -E UTF8 --no-sync
echo "host all all all trust" >> /data/db/pg_hba.conf
exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/data
"""


@contextlib.contextmanager
def postgresql(place: Place) -> Iterator[None]:
    """Have a server, and the Secret that leads to it, while the body runs."""
    kubectl = place.cluster.kubectl
    archive = None if place.cluster.name is None else Images(os.environ, Progress()).debian_archive(_OURS, ["postgresql"])
    if archive is not None:
        place.cluster.load(archive)
    url = f"postgresql://postgres@{_NAME}.{NAMESPACE}.svc/postgres"
    data = {"url": base64.b64encode(url.encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME, "namespace": SYSTEM}, "data": data}
    items = [restricted_namespace(NAMESPACE), secret, *_server(_PULLED if archive is None else _OURS)]
    kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    try:
        kubectl("rollout", "status", f"deployment/{_NAME}", "-n", NAMESPACE, "--timeout", "240s", timeout_seconds=300)
        yield
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false", check=False)
        kubectl("delete", "secret", SECRET_NAME, "-n", SYSTEM, "--ignore-not-found", check=False)


def _server(image: str) -> list[dict[str, Any]]:
    metadata = {"name": _NAME, "namespace": NAMESPACE}
    labels = {"app": _NAME}
    container = {
        "name": _NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-ec", _START],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": _NOBODY, "runAsNonRoot": True, "fsGroup": _NOBODY, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"port": 5432}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
    ]
