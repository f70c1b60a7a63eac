"""The programs a cluster is made of, built from pinned Go modules: see the folders below `go/`."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import Cache, digest
from tests.cluster.commands import run, run_watched
from tests.cluster.errors import ClusterError, CommandFailed, MissingPrerequisite
from tests.cluster.progress import Progress, Step

GO_MODULES = Path(__file__).parent / "go"

# From this version on, the go command fetches the toolchain that a go.mod asks for: https://go.dev/doc/toolchain
FIRST_GO_WITH_TOOLCHAINS = (1, 21)

KUBERNETES_ROLES = (
    "etcd",
    "helm",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)


@dataclass(frozen=True)
class GoProgram:
    """One binary of one Go module.

    Attributes:
        name: of the binary, and of its folder in the cache.
        module: the folder with go.mod.
        package: what to build.
        ldflags: for the linker.
        roles: names by which the binary is also called.
        title: what a person reads while it is built.
    """

    name: str
    module: Path
    package: str
    title: str
    ldflags: tuple[str, ...] = ("-s", "-w")
    roles: tuple[str, ...] = ()


def module_version(module: Path, path: str) -> str:
    """The version of `path` that a module's go.mod requires, such as `v1.35.4`."""
    match = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ClusterError(f"{module / 'go.mod'} does not require {path}.")
    return match[1]


def kubernetes_version() -> str:
    """The version of the Kubernetes that is built, such as `v1.35.4`."""
    return module_version(GO_MODULES / "kubernetes", "k8s.io/kubernetes")


def kind_version() -> str:
    """The version of the kind that is built, such as `v0.33.0`."""
    return module_version(GO_MODULES / "kind", "sigs.k8s.io/kind")


def kubernetes_program() -> GoProgram:
    """etcd, Kubernetes, kubectl and Helm in one binary with a link for each."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = [f"-X=k8s.io/component-base/version.{name}={value}" for name, value in values.items()]
    return GoProgram(
        name="kubernetes",
        module=GO_MODULES / "kubernetes",
        package=".",
        title=f"Building Kubernetes {version} from Go modules (about 10 minutes on 2 cores, once)",
        ldflags=("-s", "-w", *stamps),
        roles=KUBERNETES_ROLES,
    )


def coredns_program() -> GoProgram:
    """The cluster's DNS server."""
    return GoProgram("coredns", GO_MODULES / "coredns", ".", "Building CoreDNS from Go modules")


def kind_program() -> GoProgram:
    """kind, which makes clusters of containers."""
    return GoProgram("kind", GO_MODULES / "kind", "sigs.k8s.io/kind", f"Building kind {kind_version()} from Go modules")


class Binaries:
    """Builds programs at first use and keeps them in the cache."""

    def __init__(self, cache: Cache, progress: Progress, environ: Mapping[str, str]) -> None:
        self._cache = cache
        self._progress = progress
        self._environ = environ

    def kubernetes(self) -> Path:
        """The folder with `kubernetes` and a link for each of its roles."""
        return self._folder(kubernetes_program())

    def coredns(self) -> Path:
        """The CoreDNS binary."""
        return self._folder(coredns_program()) / "coredns"

    def kind(self) -> Path:
        """The kind binary."""
        return self._folder(kind_program()) / "kind"

    def kind_module(self) -> Path:
        """The sources of the kind that is built: they hold the files of a node image."""
        go = self._go()
        module = GO_MODULES / "kind"
        what = "fetch kind's sources"
        run([go, "mod", "download", "sigs.k8s.io/kind"], what=what, cwd=module, env=self._go_environment())
        listed = run([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"], what=what, cwd=module, env=self._go_environment())
        return Path(listed.strip())

    def _folder(self, program: GoProgram) -> Path:
        kind = f"bin/{program.name}"
        sources = digest(program.module, " ".join((program.package, *program.ldflags, *program.roles)))
        try:
            key = f"{sources}-{self._go_version(program.module)}"
        except MissingPrerequisite:
            built = self._cache.newest_entry(kind, sources)
            if built is None:
                raise
            return built
        return self._cache.entry(kind, key, lambda folder: self._build(program, folder))

    def _build(self, program: GoProgram, folder: Path) -> None:
        self._cache.require_space(6 if program.roles else 1)
        binary = folder / program.name
        ldflags = " ".join(program.ldflags)
        with self._progress.step(program.title) as step:
            total = self._count_packages(program, step)
            counter = _PackageCounter(total, step)
            argv: list[str | Path] = [self._go(), "build", "-v", "-trimpath", "-ldflags", ldflags, "-o", binary, program.package]
            run_watched(argv, what=f"build {program.name}", on_line=counter.line, cwd=program.module, env=self._go_environment())
        for role in program.roles:
            (folder / role).symlink_to(program.name)

    def _count_packages(self, program: GoProgram, step: Step) -> int:
        packages = 0

        def line(text: str) -> None:
            nonlocal packages
            if text.startswith("go: downloading"):
                step.update(text.removeprefix("go: "))
            else:
                packages += 1

        argv = [self._go(), "list", "-deps", program.package]
        run_watched(argv, what=f"fetch the sources of {program.name}", on_line=line, cwd=program.module, env=self._go_environment())
        return packages

    def _go(self) -> str:
        go = shutil.which("go", path=self._environ.get("PATH"))
        if go is None:
            raise MissingPrerequisite(
                f"Kubernetes is built from Go modules, and no `go` is on the PATH: install Go {required_go()} or newer "
                "(https://go.dev/doc/install) and try again."
            )
        return go

    def _go_environment(self) -> dict[str, str]:
        return {**self._environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}

    def _go_version(self, module: Path) -> str:
        """The version of the toolchain that builds `module`; it may be newer than the installed one, by the module's go.mod."""
        go = self._go()
        installed = subprocess.run(
            [go, "env", "GOVERSION"],
            env={**self._go_environment(), "GOTOOLCHAIN": "local"},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        if parse_go_version(installed) < FIRST_GO_WITH_TOOLCHAINS:
            raise MissingPrerequisite(
                f"{go} is Go {installed.removeprefix('go') or '?'}, which is too old to build Kubernetes: install Go {required_go()} "
                "or newer (https://go.dev/doc/install) and put it first on the PATH."
            )
        try:
            return run([go, "env", "GOVERSION"], what="ask go for its version", env=self._go_environment(), cwd=module).strip()
        except CommandFailed as error:
            raise MissingPrerequisite(
                f"{go} is Go {installed.removeprefix('go')} and could not fetch the newer toolchain that {module / 'go.mod'} asks for: "
                f"install Go {required_go()} or newer (https://go.dev/doc/install).\n{error}"
            ) from error


class _PackageCounter:
    def __init__(self, total: int, step: Step) -> None:
        self._total = total
        self._built = 0
        self._step = step

    def line(self, text: str) -> None:
        if text.startswith(("go: ", "#")):
            return
        self._built += 1
        self._step.update(f"built {self._built} of at most {self._total} packages")


def required_go() -> str:
    """The Go release that the modules ask for, such as `1.25`."""
    match = re.search(r"^go (\d+\.\d+)", (GO_MODULES / "kubernetes" / "go.mod").read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


def parse_go_version(text: str) -> tuple[int, int]:
    """`go1.26.8` → (1, 26); anything that is not a version → (0, 0), and a development version counts as newest."""
    if text.startswith("devel"):
        return (99, 0)
    match = re.match(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def default_environment() -> dict[str, str]:
    """A copy of this process's environment."""
    return dict(os.environ)
