"""Whole clusters by kind: https://kind.sigs.k8s.io — with Docker or another engine where there is one, else with podman of our own."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import Binaries
from tests.cluster.cache import Cache, cache_root
from tests.cluster.commands import run, run_watched
from tests.cluster.errors import ClusterError, CommandFailed, MissingPrerequisite
from tests.cluster.host_traces import has_mount_rights, make_lib_modules, present_traces, remove_traces
from tests.cluster.node_image import NodeImage
from tests.cluster.packages import Packages
from tests.cluster.podman import Podman
from tests.cluster.progress import Progress
from tests.cluster.provider import WISH, Provider, choose_provider
from tests.cluster.tools import Tools, find_kind, find_tools

NODE_READY_SECONDS = 120
DNS_READY_SECONDS = 180
EXISTING = "existing"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Record:
    """What is remembered of a cluster while it exists.

    Attributes:
        name: kind's name for it.
        provider: the engine that carries it.
        kubeconfig: the administrator's file.
    """

    name: str
    provider: Provider
    kubeconfig: Path


class KindClusters:
    """Makes and removes clusters; what exists is remembered in the cache, so any process can remove it."""

    def __init__(self, environ: Mapping[str, str], progress: Progress) -> None:
        self._environ = environ
        self._progress = progress
        self._cache = Cache(cache_root(environ), progress)
        self._binaries = Binaries(self._cache, progress, environ)
        self._packages = Packages(progress, environ)

    def up(self, name: str, kubeconfig: Path) -> None:
        """Make a cluster of one node and wait until its DNS answers. One that exists already and answers is kept.

        Raises:
            ClusterError: it could not be made; nothing is left of it.
        """
        if not NAME.fullmatch(name):
            raise ClusterError(f"{name!r} is no name for a cluster: it takes at most 40 lower-case letters, digits and hyphens.")
        if self._is_answering(name):
            self._progress.note(f"The cluster {name} is running already.")
            self._write_kubeconfig(name, kubeconfig)
            return
        self.down(name)
        provider = choose_provider(self._environ)
        try:
            self._create(Record(name, provider, kubeconfig))
        except _NodeImageUnavailable as error:
            if self._environ.get(WISH):
                raise
            self._progress.note(f"{error}\nMaking a node's image here instead, with podman.")
            self._create(Record(name, Provider.PODMAN, kubeconfig))

    def prepare(self) -> None:
        """Make all that a first cluster would have to wait for: programs, packages and the node's image; nothing for `CLUSTER=existing`."""
        if self._environ.get("CLUSTER") != EXISTING:
            self._provisions(choose_provider(self._environ))

    def down(self, name: str) -> None:
        """Remove a cluster and all that came with it; one that does not exist is no error."""
        record = self._record(name)
        if record is None:
            return
        with self._progress.step(f"Removing the cluster {name}"):
            argv: list[str | Path] = [self._kind(record), "delete", "cluster", "--name", name, "--kubeconfig", record.kubeconfig]
            run(argv, what=f"remove the cluster {name}", env=self._environment(record), timeout_seconds=120)
            self._remove_volumes_and_network(record)
            self._forget(record)

    def load(self, name: str, archive: Path) -> None:
        """Put the images of an archive (as `docker save` or buildah write it) into a cluster's node.

        Raises:
            ClusterError: there is no such cluster or archive.
        """
        record = self._record(name)
        if record is None:
            raise ClusterError(
                f"There is no cluster {name}: make it with `python -m tests.cluster kind up --name {name} --kubeconfig FILE`."
            )
        if not archive.is_file():
            raise ClusterError(f"There is no image archive {archive}.")
        with self._progress.step(f"Loading {archive.name} into the cluster {name}"):
            argv: list[str | Path] = [self._kind(record), "load", "image-archive", archive, "--name", name]
            run(argv, what=f"load {archive}", env=self._environment(record), timeout_seconds=600)

    def tools(self, name: str) -> Tools:
        """The programs that fit a cluster that exists."""
        record = self._record(name)
        if record is None:
            raise ClusterError(f"There is no cluster {name}.")
        return find_tools(record.provider, self._binaries, self._environ)

    def names(self) -> list[str]:
        """The clusters that exist."""
        return sorted(file.stem for file in self._records.glob("*.json"))

    def _create(self, record: Record) -> None:
        tools, image = self._provisions(record.provider)
        self._remember(record)
        argv: list[str | Path] = [
            tools.kind,
            "create",
            "cluster",
            "--name",
            record.name,
            "--kubeconfig",
            record.kubeconfig,
            "--wait",
            f"{NODE_READY_SECONDS}s",
        ]
        argv += ["--image", image] if image else []
        try:
            with self._progress.step(f"Creating the cluster {record.name} with kind and {record.provider}") as step:
                what = f"create the cluster {record.name}"
                run_watched(argv, what=what, on_line=lambda line: step.update(line.strip(" •✓.")), env=self._environment(record))
                step.update("waiting for its DNS")
                self._wait_for_dns(tools, record)
        except CommandFailed as error:
            self.down(record.name)
            if "failed to pull image" in str(error):
                raise _NodeImageUnavailable(f"{record.provider} cannot pull the image of kind's nodes.") from error
            raise
        except BaseException:
            self.down(record.name)
            raise

    def _provisions(self, provider: Provider) -> tuple[Tools, str | None]:
        """The programs and the node's image, of which None leaves the choice to kind."""
        if provider is Provider.PODMAN:
            self._require_machine_for_podman()
        return find_tools(provider, self._binaries, self._environ), self._image(provider)

    def _wait_for_dns(self, tools: Tools, record: Record) -> None:
        argv: list[str | Path] = [tools.kubectl, "--kubeconfig", record.kubeconfig, *_NO_CACHE, "--namespace", "kube-system"]
        argv += ["rollout", "status", "deployment/coredns", f"--timeout={DNS_READY_SECONDS}s"]
        run(argv, what="wait for the cluster's DNS", env=self._environ, timeout_seconds=DNS_READY_SECONDS + 30)

    def _image(self, provider: Provider) -> str | None:
        wished = self._environ.get("KIND_IMAGE")
        if provider is not Provider.PODMAN:
            return wished
        podman = self._podman()
        podman.prepare()
        return wished or NodeImage(self._cache, podman, self._binaries, self._progress, self._environ).name()

    def _require_machine_for_podman(self) -> None:
        if not Path("/proc/self/cgroup").exists() or not any(Path("/sys/fs/cgroup").iterdir()):
            raise MissingPrerequisite("No cgroups are mounted at /sys/fs/cgroup: a cluster's node can't run here.")
        self._packages.require_engine()
        if not has_mount_rights():
            raise MissingPrerequisite("Without Docker a cluster's node runs in podman as root: start Docker, or run this again as root.")

    def _kind(self, record: Record) -> Path:
        return find_kind(record.provider, self._binaries, self._environ)

    def _podman(self) -> Podman:
        return Podman(self._cache.root / "podman", self._packages.podman_major(), self._environ)

    def _environment(self, record: Record) -> dict[str, str]:
        if record.provider is Provider.PODMAN:
            return {**self._podman().environment(), "KIND_EXPERIMENTAL_PODMAN_NETWORK": network_name(record.name)}
        return {
            **self._environ,
            WISH: str(record.provider),
            "KIND_EXPERIMENTAL_DOCKER_NETWORK": network_name(record.name),
        }

    def _remove_volumes_and_network(self, record: Record) -> None:
        if record.provider is Provider.PODMAN:
            podman = self._podman()
            # One whose creation was cut short has no container yet with which kind would find it.
            podman.remove_volumes(f"{record.name}-control-plane")
            podman.remove_network(network_name(record.name))
        elif record.provider is Provider.DOCKER:
            docker_network, what = ["docker", "network"], "remove the cluster's network"
            present = run([*docker_network, "ls", "--format", "{{.Name}}"], what=what, env=self._environ, timeout_seconds=60).split()
            if network_name(record.name) in present:
                run([*docker_network, "rm", network_name(record.name)], what=what, env=self._environ, timeout_seconds=60)

    def _is_answering(self, name: str) -> bool:
        record = self._record(name)
        if record is None:
            return False
        try:
            argv: list[str | Path] = [
                self.tools(name).kubectl,
                "--kubeconfig",
                record.kubeconfig,
                *_NO_CACHE,
                "get",
                "nodes",
                "--request-timeout=5s",
            ]
            run(argv, what="ask the cluster", env=self._environ, timeout_seconds=30)
        except CommandFailed:
            return False
        return True

    def _write_kubeconfig(self, name: str, kubeconfig: Path) -> None:
        record = self._record(name)
        assert record is not None
        argv: list[str | Path] = [self._kind(record), "export", "kubeconfig", "--name", name, "--kubeconfig", kubeconfig]
        run(argv, what=f"write {kubeconfig}", env=self._environment(record), timeout_seconds=60)

    @property
    def _records(self) -> Path:
        return self._cache.root / "clusters"

    @property
    def _traces_before(self) -> Path:
        return self._records / "traces-before"

    def _record(self, name: str) -> Record | None:
        file = self._records / f"{name}.json"
        if not file.exists():
            return None
        values = json.loads(file.read_text())
        return Record(name, Provider(values["provider"]), Path(values["kubeconfig"]))

    def _remember(self, record: Record) -> None:
        with self._cache.locked("clusters"):
            self._records.mkdir(parents=True, exist_ok=True)
            if record.provider is Provider.PODMAN:
                if not self._traces_before.exists():
                    self._traces_before.write_text(json.dumps(present_traces()))
                make_lib_modules()
            values = {"provider": str(record.provider), "kubeconfig": str(record.kubeconfig)}
            (self._records / f"{record.name}.json").write_text(json.dumps(values))

    def _forget(self, record: Record) -> None:
        with self._cache.locked("clusters"):
            (self._records / f"{record.name}.json").unlink(missing_ok=True)
            if record.kubeconfig.exists() and "server:" not in record.kubeconfig.read_text():
                # kind took its own entries out; a file that also names other clusters stays.
                record.kubeconfig.unlink()
            if not self.names() and self._traces_before.exists():
                remove_traces(json.loads(self._traces_before.read_text()))
                self._traces_before.unlink()


_NO_CACHE = ("--cache-dir", "/dev/null")
"""What kubectl learns of a cluster that has only begun must not be believed later, by whoever uses the same home folder."""


class _NodeImageUnavailable(ClusterError):
    pass


def network_name(cluster: str) -> str:
    """The container network of a cluster: one for each, so that it can go with it."""
    return f"kind-{cluster}"
