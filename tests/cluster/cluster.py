"""What every cluster for tests offers, whatever it is made of."""

import json
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.commands import TIMED_OUT, failure
from tests.cluster.errors import CommandFailed

TOKEN_LIFETIME = "24h"


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        kubeconfig: a file that makes its user an administrator of the cluster.
        kubectl_path: the kubectl that fits the cluster.
        helm_path: a Helm that fits the cluster.
        folder: a temporary folder that goes when the cluster goes.
        environ: the environment for programs that are run.
    """

    kubeconfig: Path
    kubectl_path: Path
    helm_path: Path
    folder: Path
    environ: Mapping[str, str]

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout_seconds: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as administrator.

        Args:
            arguments: as on the command line.
            stdin: for `apply -f -` and the like.
            check: False returns a failure instead of raising it.
            timeout_seconds: after which kubectl is killed.

        Raises:
            CommandFailed: kubectl ended with an error; the text holds what it said.
        """
        return self._run(self.kubectl_path, arguments, stdin, check, timeout_seconds)

    def helm(self, *arguments: str, check: bool = True, timeout_seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run Helm as administrator; arguments and errors as for `kubectl`."""
        return self._run(self.helm_path, arguments, None, check, timeout_seconds)

    def program_environment(self) -> dict[str, str]:
        """The environment of a program that shall use this cluster and leave its own caches in the cluster's folder."""
        return {
            **self.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            "HELM_CACHE_HOME": str(self.folder / "helm-cache"),
            "HELM_CONFIG_HOME": str(self.folder / "helm-config"),
            "HELM_DATA_HOME": str(self.folder / "helm-data"),
        }

    def kubeconfig_for_service_account(self, namespace: str, name: str, *, lifetime: str = TOKEN_LIFETIME) -> Path:
        """A kubeconfig file with a fresh token of an existing ServiceAccount (by the TokenRequest API)."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration", lifetime).stdout.strip()
        return self._derived_kubeconfig(f"serviceaccount-{namespace}-{name}", {"token": token}, namespace)

    def _derived_kubeconfig(self, name: str, user: Mapping[str, str], namespace: str) -> Path:
        admin = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output", "json").stdout)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": admin["clusters"][0]["cluster"]}],
            "users": [{"name": name, "user": dict(user)}],
            "contexts": [{"name": name, "context": {"cluster": "cluster", "user": name, "namespace": namespace}}],
            "current-context": name,
        }
        file = self.folder / f"{name}.kubeconfig"
        file.touch(mode=0o600)
        file.write_text(json.dumps(config))
        return file

    def _run(
        self, program: Path, arguments: tuple[str, ...], stdin: str | None, check: bool, timeout_seconds: float
    ) -> subprocess.CompletedProcess[str]:
        argv = [str(program), *arguments]
        try:
            result = subprocess.run(
                argv,
                env=self.program_environment(),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"`{shlex.join(argv)}` took longer than {timeout_seconds:.0f} s.", TIMED_OUT) from error
        if check and result.returncode != 0:
            raise failure(f"run {program.name}", argv, result.returncode, (result.stdout + result.stderr).splitlines())
        return result
