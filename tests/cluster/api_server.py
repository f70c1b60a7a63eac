"""A Kubernetes API without nodes: etcd, kube-apiserver and, if wanted, the controller manager, on loopback, in a few seconds.

This is what controller-runtime's envtest does: https://book.kubebuilder.io/reference/envtest
"""

import http.client
import os
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import Binaries
from tests.cluster.cache import Cache, cache_root
from tests.cluster.certificates import SERVICE_RANGE, CertificateAuthority
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.guardian import GuardedProcess, Guardian
from tests.cluster.ports import reserved_ports
from tests.cluster.progress import Progress

START_TIMEOUT_SECONDS = 90.0
POLL_SECONDS = 0.05
GOGC = "400"
"""For etcd and the API server, unless the environment has another: memory is at hand, and collecting garbage seldom saves computing."""


@dataclass(frozen=True)
class ApiServer(Cluster):
    """An API server of its own.

    Attributes:
        authority: makes client certificates.
        etcd_url: where etcd listens, without authentication.
        processes: by name: `etcd`, `kube-apiserver`, `kube-controller-manager`.
    """

    authority: CertificateAuthority
    etcd_url: str
    processes: dict[str, GuardedProcess]

    def kubeconfig_for_user(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig file for a user who may do nothing but what RBAC allows the name and the groups."""
        safe = re.sub(r"[^\w.-]", "-", user)
        return self.authority.kubeconfig(user, groups, self.folder / f"user-{safe}.kubeconfig")


@contextmanager
def api_server(
    *, controller_manager: bool | Sequence[str] = False, flags: Sequence[str] = (), progress: Progress | None = None
) -> Iterator[ApiServer]:
    """Run an API server while the body runs; nothing of it is left afterwards, also after `kill -9` of this process.

    Args:
        controller_manager: True runs all default controllers, a list only those named, such as
            `["garbage-collector-controller", "deployment-controller"]`.
        flags: further ones for kube-apiserver, such as `--audit-log-path=…`.
        progress: where a first build of the programs is shown.

    Raises:
        ClusterError: a program could not be built, or did not start.
    """
    environ = dict(os.environ)
    progress = progress or Progress()
    programs = Binaries(Cache(cache_root(environ), progress), progress, environ).kubernetes()
    with Guardian() as guardian:
        yield _start(guardian, programs, environ, controller_manager, flags)


def _start(
    guardian: Guardian, programs: Path, environ: dict[str, str], controller_manager: bool | Sequence[str], flags: Sequence[str]
) -> ApiServer:
    folder = guardian.folder("kube-api-server-")
    authority = CertificateAuthority(programs / "kubeadm", folder, environ)
    processes: dict[str, GuardedProcess] = {}

    def start(name: str, arguments: Sequence[str]) -> GuardedProcess:
        processes[name] = guardian.start(name, [programs / name, *arguments], log=folder / f"{name}.log", env={"GOGC": GOGC, **environ})
        return processes[name]

    with reserved_ports(3) as (etcd_port, peer_port, server_port):
        etcd_url = f"http://127.0.0.1:{etcd_port}"
        start("etcd", etcd_arguments(folder / "etcd", etcd_url, f"http://127.0.0.1:{peer_port}"))
        authority.create(server_port)
        server = start("kube-apiserver", [*api_server_arguments(authority.pki, etcd_url, server_port), *flags])
        kubeconfig = authority.kubeconfig("kubernetes-admin", ["system:masters"], folder / "admin.kubeconfig")
        _wait_until_ready(server, processes["etcd"], authority.pki / "ca.crt", server_port)
    cluster = ApiServer(
        kubeconfig=kubeconfig,
        kubectl_path=programs / "kubectl",
        helm_path=programs / "helm",
        folder=folder,
        environ=environ,
        authority=authority,
        etcd_url=etcd_url,
        processes=processes,
    )
    if controller_manager:
        controllers = ["*"] if controller_manager is True else list(controller_manager)
        manager_kubeconfig = authority.kubeconfig("system:kube-controller-manager", [], folder / "controller-manager.kubeconfig")
        manager = start("kube-controller-manager", controller_manager_arguments(authority.pki, manager_kubeconfig, controllers))
        if controller_manager is True:
            _wait_for_default_service_account(cluster, manager)
    return cluster


def etcd_arguments(data: Path, url: str, peer_url: str) -> list[str]:
    """The command line of an etcd whose data need not survive."""
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--socket-reuse-port=true",
        "--unsafe-no-fsync=true",
        "--quota-backend-bytes=8589934592",
        "--log-level=warn",
    ]


def api_server_arguments(pki: Path, etcd_url: str, port: int) -> list[str]:
    """The command line of an API server with RBAC, its own CA, service accounts and an aggregation layer."""
    return [
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing=true",
        # A loopback address is no valid endpoint of the Service `kubernetes`, and no pod will ever call it.
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
    ]


def controller_manager_arguments(pki: Path, kubeconfig: Path, controllers: Sequence[str]) -> list[str]:
    """The command line of a controller manager that serves nothing and is the only one."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(controllers)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        # Tests create and delete by the thousand: the default of 20 requests a second would be what they measure.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _wait_until_ready(server: GuardedProcess, etcd: GuardedProcess, ca: Path, port: int) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _answers_readyz(port, context):
        _require_running(etcd)
        _require_running(server)
        if time.monotonic() > deadline:
            raise ClusterError(
                f"kube-apiserver was not ready after {START_TIMEOUT_SECONDS:.0f} s; its last lines were:\n{server.last_lines()}"
            )
        time.sleep(POLL_SECONDS)


def _answers_readyz(port: int, context: ssl.SSLContext) -> bool:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait_for_default_service_account(cluster: ApiServer, manager: GuardedProcess) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while cluster.kubectl("get", "serviceaccount", "default", "--namespace", "default", check=False).returncode != 0:
        _require_running(manager)
        if time.monotonic() > deadline:
            raise ClusterError(f"kube-controller-manager did nothing; its last lines were:\n{manager.last_lines()}")
        time.sleep(POLL_SECONDS)


def _require_running(process: GuardedProcess) -> None:
    if not process.is_running():
        raise ClusterError(f"{process.name} ended while it started; its last lines were:\n{process.last_lines()}")
