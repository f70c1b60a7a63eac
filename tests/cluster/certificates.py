"""Keys, certificates and kubeconfig files of an API server, made by kubeadm."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import kubernetes_version
from tests.cluster.commands import run

SERVICE_RANGE = "10.0.0.0/16"
# kubeadm refuses a loopback address here; this one is for documentation (RFC 5737) and only appears in the server's certificate.
ADVERTISED_ADDRESS = "192.0.2.1"


@dataclass(frozen=True)
class CertificateAuthority:
    """The folder with a cluster's own certificates, and kubeadm to make more.

    Attributes:
        kubeadm: the program.
        folder: where `pki/` and kubeadm's configuration lie.
        environ: the environment for kubeadm.
    """

    kubeadm: Path
    folder: Path
    environ: Mapping[str, str]

    @property
    def pki(self) -> Path:
        """The folder with `ca.crt`, `apiserver.crt`, `sa.key` and so on."""
        return self.folder / "pki"

    def create(self, server_port: int) -> None:
        """Make everything that the API server at `127.0.0.1:server_port` needs."""
        cluster = {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": kubernetes_version(),
            "clusterName": "api-server",
            "certificatesDir": str(self.pki),
            "encryptionAlgorithm": "ECDSA-P256",
            "controlPlaneEndpoint": f"127.0.0.1:{server_port}",
            "networking": {"serviceSubnet": SERVICE_RANGE},
            "etcd": {"external": {"endpoints": ["http://127.0.0.1"]}},
            "apiServer": {"certSANs": ["localhost", "127.0.0.1"]},
        }
        node = {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": ADVERTISED_ADDRESS, "bindPort": server_port},
        }
        self._configuration.write_text(f"{json.dumps(cluster)}\n---\n{json.dumps(node)}\n")
        self._kubeadm("make certificates", "init", "phase", "certs", "all")

    def kubeconfig(self, user: str, groups: Sequence[str], file: Path) -> Path:
        """Write a kubeconfig with a client certificate for `user`, a member of `groups`."""
        organizations = [f"--org={group}" for group in groups]
        text = self._kubeadm(f"make a kubeconfig for {user}", "kubeconfig", "user", f"--client-name={user}", *organizations)
        file.touch(mode=0o600)
        file.write_text(text)
        return file

    @property
    def _configuration(self) -> Path:
        return self.folder / "kubeadm.yaml"

    def _kubeadm(self, what: str, *arguments: str) -> str:
        return run([self.kubeadm, *arguments, "--config", self._configuration], what=what, env=self.environ, timeout_seconds=60)
