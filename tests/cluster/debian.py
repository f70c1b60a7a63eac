"""Root file systems of the machine's own Debian release, made by mmdebstrap from the machine's own package sources."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.commands import isolated, run, run_watched
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.progress import Step

EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
SUPPORTED = ("debian", "ubuntu")


@dataclass(frozen=True)
class Release:
    """A release such as (debian, bookworm), with the files that say where its packages come from."""

    distribution: str
    codename: str
    sources: tuple[Path, ...]


def this_release(etc: Path = Path("/etc")) -> Release:
    """The release that this machine runs.

    Raises:
        MissingPrerequisite: it is neither Debian nor a child of it that mmdebstrap can make.
    """
    file = etc / "os-release"
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', file.read_text() if file.exists() else "", re.MULTILINE))
    distribution, codename = values.get("ID", ""), values.get("VERSION_CODENAME", "")
    if distribution not in SUPPORTED or not codename:
        raise MissingPrerequisite(
            f"Without Docker images are made from Debian packages, and this machine runs {values.get('PRETTY_NAME', 'another system')}: "
            "start Docker, or let CLUSTER=existing use the cluster of your current kubeconfig."
        )
    candidates = [etc / "apt/sources.list", *(etc / f"apt/sources.list.d/{distribution}{suffix}" for suffix in (".sources", ".list"))]
    sources = tuple(file for file in candidates if file.exists() and codename in file.read_text())
    return Release(distribution, codename, sources)


def make_root_file_system(
    tar: Path, packages: Sequence[str], release: Release, environ: Mapping[str, str], step: Step, emptied: Sequence[str] = ()
) -> None:
    """Write a minimal root file system with `packages` as a tar file; the files `emptied` are there without content."""
    options = [
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={path}" for path in EXCLUDED),
        *_proxy_options(environ),
    ]
    # This machine's name servers may not be reachable from where the image runs, and look-ups that stall are worse than none.
    options += [f'--customize-hook=: > "$1{file}"' for file in ("/etc/resolv.conf", *emptied)]
    argv: list[str | Path] = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        *options,
        release.codename,
        tar,
        *release.sources,
    ]
    run_watched(
        isolated(argv),
        what=f"make a {release.codename} file system",
        on_line=lambda line: step.update(line.removeprefix("I: ")[:80]),
        env={**environ, "TMPDIR": str(tar.parent)},
    )
    tar.chmod(0o644)


def _proxy_options(environ: Mapping[str, str]) -> list[str]:
    """apt's proxy settings of this machine, which mmdebstrap does not read by itself."""
    settings = run(
        ["apt-config", "dump", "--format", '%f "%v";%n', "Acquire::http::Proxy", "Acquire::https::Proxy"],
        what="read apt's settings",
        env=environ,
    )
    return [f"--aptopt={line}" for line in settings.splitlines() if "Proxy" in line and '""' not in line]


def is_root() -> bool:
    """Whether this process may install packages and mount file systems."""
    return os.geteuid() == 0
