"""promtool: the one on the PATH, else the one in Debian's package `prometheus`, unpacked into the cache without installing it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.cache import Cache, cache_root
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError, MissingPrerequisite
from tests.cluster.progress import Progress

_PACKAGE = "prometheus"
_LINE = f"sudo apt-get install --no-install-recommends {_PACKAGE}"


def find_promtool(environ: Mapping[str, str]) -> Path:
    """Return a promtool.

    Raises:
        MissingPrerequisite: there is none and none can be fetched; the text has the line to type.
    """
    path = shutil.which("promtool", path=environ.get("PATH"))
    if path is not None:
        return Path(path)
    if shutil.which("apt-get", path=environ.get("PATH")) is None:
        raise MissingPrerequisite(f"The rule tests need promtool, which comes with Prometheus. On Debian: {_LINE}")
    progress = Progress()
    cache = Cache(cache_root(environ), progress)
    try:
        return cache.entry("promtool", "debian", lambda folder: _unpack(folder, progress, environ)) / "promtool"
    except ClusterError as error:
        raise MissingPrerequisite(f"The rule tests need promtool, and it could not be fetched. Install it: {_LINE}\n{error}") from error


def _unpack(folder: Path, progress: Progress, environ: Mapping[str, str]) -> None:
    # Not installed: the package would start a server.
    with progress.step(f"Fetching promtool from Debian's package {_PACKAGE}"):
        run(
            ["apt-get", "--quiet", "--option", "APT::Sandbox::User=root", "download", _PACKAGE],
            what="fetch promtool",
            cwd=folder,
            env=environ,
        )
        (package,) = folder.glob("*.deb")
        run(["dpkg-deb", "--extract", package, folder / "root"], what="unpack promtool", env=environ)
        shutil.copy2(folder / "root" / "usr" / "bin" / "promtool", folder / "promtool")
        shutil.rmtree(folder / "root")
        package.unlink()
