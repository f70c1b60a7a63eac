"""A podman of our own: its storage, networks and settings lie in the cache, so that it neither sees nor touches the machine's."""

import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.commands import run
from tests.cluster.errors import CommandFailed
from tests.cluster.packages import FIRST_PODMAN_WITHOUT_CNI

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_MAX = Path("/proc/sys/kernel/pid_max")


class Podman:
    """Settings for podman, buildah and kind.

    Args:
        folder: where everything lies.
        major: podman's major version.
        environ: the environment that programs get in addition.
    """

    def __init__(self, folder: Path, major: int, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._major = major
        self._environ = environ

    def prepare(self) -> None:
        """Write the settings and forget what ran before the machine's last start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._forget_earlier_boots()
        self._write("containers.conf", containers_conf(self.folder, self._major, hard_limits()))
        self._write("storage.conf", storage_conf(self.folder))

    def environment(self) -> dict[str, str]:
        """The environment in which `podman`, `buildah` and `kind` use this storage."""
        return {
            **self._environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "KIND_EXPERIMENTAL_PROVIDER": "podman",
            "PATH": self._environ.get("PATH", "") + ":/usr/sbin:/sbin",
        }

    def run(self, what: str, *arguments: str | Path) -> str:
        """Run podman; returns its standard output."""
        return run(["podman", *arguments], what=what, env=self.environment())

    def has_image(self, name: str) -> bool:
        """Whether an image of this name is in the storage."""
        return self._succeeds("image", "exists", name)

    def import_image(self, root: Path, name: str, changes: Sequence[str] = ()) -> None:
        """Make an image of one layer from a root file system: a folder or a tar file.

        Args:
            root: the file system.
            name: the image's full name.
            changes: as Dockerfile lines, such as `ENV A=b`.
        """
        options = [argument for change in changes for argument in ("--change", change)]
        self.run(f"make the image {name}", "import", "--quiet", *options, root, name)

    def remove_images(self, name_without_tag: str, keep: str) -> None:
        """Remove every image of one name except the tag `keep`; those in use stay."""
        names = self.run(
            "list images", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name_without_tag}"
        ).split()
        for name in names:
            if name != f"{name_without_tag}:{keep}":
                self._succeeds("rmi", name)

    def remove_network(self, name: str) -> None:
        """Remove a network and the addresses that were given out in it."""
        self._succeeds("network", "rm", "--force", name)
        shutil.rmtree(Path("/var/lib/cni/networks") / name, ignore_errors=True)

    def remove_volumes(self, label: str) -> None:
        """Remove the volumes with a label; kind marks a node's volume with the node's name."""
        for name in self.run("list volumes", "volume", "ls", "--quiet", "--filter", f"label={label}").split():
            self._succeeds("volume", "rm", "--force", name)

    def _succeeds(self, *arguments: str) -> bool:
        try:
            self.run("ask podman", *arguments)
        except CommandFailed:
            return False
        return True

    def _write(self, name: str, text: str) -> None:
        file = self.folder / name
        if not file.exists() or file.read_text() != text:
            unfinished = file.with_suffix(f".{os.getpid()}.new")
            unfinished.write_text(text)
            unfinished.rename(file)

    def _forget_earlier_boots(self) -> None:
        marker, boot = self.folder / "boot-id", BOOT_ID.read_text()
        if not marker.exists() or marker.read_text() != boot:
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            marker.write_text(boot)


def hard_limits() -> tuple[int, int]:
    """How many open files and processes a container may be given: never more than this process has itself."""
    pid_max = int(PID_MAX.read_text())
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return (
        1048576 if files == resource.RLIM_INFINITY else files,
        pid_max if processes == resource.RLIM_INFINITY else min(processes, pid_max),
    )


def containers_conf(folder: Path, podman_major: int, limits: tuple[int, int]) -> str:
    """podman's settings: https://github.com/containers/common/blob/main/docs/containers.conf.5.md

    Limits above our own could not be set without CAP_SYS_RESOURCE; runc, because crun refuses hybrid cgroups; locks in a file, because
    the ones in shared memory are the machine's podman's; one second to stop, because a node has nothing to save.
    """
    files, processes = limits
    backend = "cni" if podman_major < FIRST_PODMAN_WITHOUT_CNI else "netavark"
    return f"""[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
log_driver = "k8s-file"

[engine]
runtime = "runc"
stop_timeout = 1
lock_type = "file"
events_logger = "none"
image_copy_tmp_dir = "storage"
static_dir = "{folder}/libpod"
tmp_dir = "{folder}/run/libpod"
volume_path = "{folder}/volumes"

[network]
network_backend = "{backend}"
network_config_dir = "{folder}/networks"
"""


def storage_conf(folder: Path) -> str:
    """Where images and containers lie: https://github.com/containers/storage/blob/main/docs/containers-storage.conf.5.md"""
    return f"""[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run/storage"
"""
