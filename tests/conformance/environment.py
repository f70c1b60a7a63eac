"""Where the clients of other people are installed: in the user's cache folder, from locks with digests, once for each lock."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import Cache, cache_root, digest
from tests.cluster.commands import run_watched
from tests.cluster.packages import Packages
from tests.cluster.progress import Progress, Step

REPOSITORY = Path(__file__).resolve().parents[2]
_NODE_PROJECT = Path(__file__).parent / "js"
_PYTHON_LOCK = REPOSITORY / "requirements-conformance.txt"


@dataclass(frozen=True)
class Environment:
    """Makes what is not there yet, and shows what takes long."""

    cache: Cache
    progress: Progress
    environ: Mapping[str, str]

    def node_modules(self) -> Path:
        """Return the folder `node_modules` of the clients for Node.

        Raises:
            ClusterError: Node is missing and can't be installed, or npm fails.
        """
        Packages(self.progress, self.environ).require_node()
        lock = _NODE_PROJECT / "package-lock.json"
        return self.cache.entry("conformance-node", digest(lock), self._install_node_modules) / "node_modules"

    def python(self) -> Path:
        """Return the Python that has the clients for Python which are no dependency of the project.

        Raises:
            ClusterError: pip fails.
        """
        folder = self.cache.entry("conformance-python", digest(_PYTHON_LOCK, sys.version), self._install_python)
        return folder / "bin" / "python"

    def _install_node_modules(self, folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            (folder / name).write_bytes((_NODE_PROJECT / name).read_bytes())
        with self.progress.step("Installing 23 npm packages for the conformance tests, 85 MB") as step:
            run_watched(
                ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                what="install the clients for Node",
                on_line=_shortly(step),
                env=self.environ,
                cwd=folder,
            )

    def _install_python(self, folder: Path) -> None:
        self.cache.require_space(2)
        pip = [
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--require-hashes",
            "--progress-bar",
            "off",
            "--requirement",
            str(_PYTHON_LOCK),
        ]
        with self.progress.step("Installing 105 Python packages for the conformance tests, 800 MB") as step:
            run_watched([sys.executable, "-m", "venv", folder], what="make an environment", on_line=_shortly(step), env=self.environ)
            run_watched([folder / "bin" / "python", *pip], what="install the clients for Python", on_line=_shortly(step), env=self.environ)


def _shortly(step: Step) -> Callable[[str], None]:
    return lambda line: step.update(line.strip()[:80])


def environment() -> Environment:
    """Return the environment of this user."""
    progress = Progress()
    return Environment(Cache(cache_root(os.environ), progress), progress, dict(os.environ))
