"""The Debian packages that tests need: those that stand in for a container engine where there is none, Node and a browser."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.commands import run, run_watched
from tests.cluster.debian import is_root
from tests.cluster.errors import CommandFailed, MissingPrerequisite
from tests.cluster.progress import Progress

LOCK_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Package:
    """A package and the file or program by which its presence is seen, from wherever it was installed."""

    name: str
    evidence: str


ENGINE = (
    Package("podman", "podman"),
    Package("runc", "runc"),
    Package("mmdebstrap", "mmdebstrap"),
    Package("iptables", "iptables"),
    Package("buildah", "buildah"),
)
# Podman 5 has networks by netavark only; before, CNI's plugins are what every release has.
CNI_NETWORK = (Package("containernetworking-plugins", "/usr/lib/cni/bridge"),)
NETAVARK_NETWORK = (Package("netavark", "/usr/lib/podman/netavark"), Package("aardvark-dns", "/usr/lib/podman/aardvark-dns"))
FIRST_PODMAN_WITHOUT_CNI = 5
# Not of clusters, but of the conformance tests: clients for Node.
NODE = (Package("nodejs", "node"), Package("npm", "npm"))
# For the playground's tests.
BROWSER = (Package("chromium", "chromium"),)
# For the ledger's tests. Debian keeps the server's programs beside each other by version, so what is looked for is its tool.
POSTGRESQL = (Package("postgresql", "/usr/bin/pg_createcluster"),)


def missing_packages(packages: Sequence[Package], is_present: Callable[[str], bool]) -> list[str]:
    """The names of those packages whose evidence is not there."""
    return [package.name for package in packages if not is_present(package.evidence)]


def install_line(names: Sequence[str]) -> str:
    """What a person types to install packages."""
    return f"sudo apt-get install --no-install-recommends {shlex.join(names)}"


class Packages:
    """Sees to it that packages are there."""

    def __init__(self, progress: Progress, environ: Mapping[str, str]) -> None:
        self._progress = progress
        self._environ = environ

    def require_engine(self) -> None:
        """Podman, buildah and what they need to run kind's nodes and to build images.

        Raises:
            MissingPrerequisite: packages are missing and can't be installed from here; the text has the line to type.
        """
        self._require([*ENGINE, *(CNI_NETWORK if self.podman_major() < FIRST_PODMAN_WITHOUT_CNI else NETAVARK_NETWORK)])

    def require_node(self) -> None:
        """Node and npm, from wherever they were installed.

        Raises:
            MissingPrerequisite: they are missing and can't be installed from here; the text has the line to type.
        """
        self._require(NODE)

    def require_browser(self) -> None:
        """Chromium, from wherever it was installed.

        Raises:
            MissingPrerequisite: it is missing and can't be installed from here; the text has the line to type.
        """
        self._require(BROWSER)

    def require_postgresql(self) -> None:
        """PostgreSQL's server, as the distribution has it.

        Raises:
            MissingPrerequisite: it is missing and can't be installed from here; the text has the line to type.
        """
        self._require(POSTGRESQL)

    def podman_major(self) -> int:
        """The major version of the podman that is installed, else of the one that would be."""
        if shutil.which("podman", path=self._environ.get("PATH")):
            version = run(["podman", "--version"], what="ask podman for its version", env=self._environ)
            return int(version.split()[-1].split(".")[0])
        policy = subprocess.run(
            ["apt-cache", "policy", "podman"], env={**self._environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False
        )
        candidate = policy.stdout.partition("Candidate: ")[2].split("\n")[0]
        major = candidate.split(".")[0].rpartition(":")[2]
        return int(major) if major.isdigit() else FIRST_PODMAN_WITHOUT_CNI - 1

    def _require(self, packages: Sequence[Package]) -> None:
        missing = missing_packages(packages, self._is_present)
        if not missing:
            return
        if not is_root() or shutil.which("apt-get", path=self._environ.get("PATH")) is None:
            raise MissingPrerequisite(
                f"These programs are missing: {', '.join(missing)}. Install them and try again:\n  {install_line(missing)}"
            )
        environ = {**self._environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        apt = ["apt-get", "--quiet", "--yes", "--option", "Dpkg::Use-Pty=0", "--option", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_SECONDS}"]
        what = "install Debian packages"
        with self._progress.step(f"Installing {', '.join(missing)} with apt-get") as step:
            # In a session of its own: a half-installed package is worse than one that comes a moment after we were killed.
            try:
                run_watched([*apt, "update"], what="update apt's package lists", on_line=step.update, env=environ, new_session=True)
            except CommandFailed as error:
                self._progress.note(f"{error}\nTrying with the package lists that are there.")
            run_watched(
                [*apt, "install", "--no-install-recommends", *missing], what=what, on_line=step.update, env=environ, new_session=True
            )

    def _is_present(self, evidence: str) -> bool:
        if evidence.startswith("/"):
            return Path(evidence).exists()
        return shutil.which(evidence, path=self._environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin") is not None
