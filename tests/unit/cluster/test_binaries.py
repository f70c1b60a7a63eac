"""The Go programs: their versions, and what a machine without a fitting Go is told."""

import io
from pathlib import Path

import pytest

from tests.cluster.binaries import (
    GO_MODULES,
    Binaries,
    kind_version,
    kubernetes_program,
    kubernetes_version,
    module_version,
    parse_go_version,
    required_go,
)
from tests.cluster.cache import Cache
from tests.cluster.errors import ClusterError, MissingPrerequisite
from tests.cluster.progress import Progress


def binaries(tmp_path: Path, path: Path) -> Binaries:
    progress = Progress(io.StringIO())
    return Binaries(Cache(tmp_path / "cache", progress), progress, {"PATH": str(path), "HOME": str(tmp_path)})


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return folder


def test_versions_come_from_the_modules() -> None:
    assert kubernetes_version().startswith("v1.")
    assert kind_version().startswith("v0.")
    assert required_go().startswith("1.")
    with pytest.raises(ClusterError, match="does not require example"):
        module_version(GO_MODULES / "kind", "example")


def test_the_kubernetes_binary_says_its_version() -> None:
    assert f"-X=k8s.io/component-base/version.gitVersion={kubernetes_version()}" in kubernetes_program().ldflags


@pytest.mark.parametrize(
    ("text", "version"), [("go1.26.8", (1, 26)), ("go1.27rc1", (1, 27)), ("devel go1.28-abc", (99, 0)), ("", (0, 0)), ("gccgo", (0, 0))]
)
def test_go_versions_are_read(text: str, version: tuple[int, int]) -> None:
    assert parse_go_version(text) == version


def test_a_machine_without_go_is_told_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=rf"no `go` is on the PATH: install Go {required_go()} or newer"):
        binaries(tmp_path, tmp_path).kubernetes()


def test_a_machine_with_an_old_go_is_told_so(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "go", "echo go1.19.8")
    with pytest.raises(MissingPrerequisite, match=r"is Go 1\.19\.8, which is too old"):
        binaries(tmp_path, path).kubernetes()


def test_a_toolchain_that_cannot_be_fetched_is_said(tmp_path: Path) -> None:
    script = '[ "$GOTOOLCHAIN" = local ] && echo go1.22.1 || { echo "go: toolchain not available" >&2; exit 1; }'
    path = program(tmp_path / "bin", "go", script)
    with pytest.raises(MissingPrerequisite, match=r"is Go 1\.22\.1 and could not fetch the newer toolchain(?s:.*)toolchain not available"):
        binaries(tmp_path, path).kubernetes()


def test_programs_that_were_built_are_used_without_go(tmp_path: Path) -> None:
    go = program(tmp_path / "bin", "go", 'case "$1" in env) echo go1.99.0;; build) while [ "$1" != -o ]; do shift; done; : > "$2";; esac')
    built = binaries(tmp_path, go).kubernetes()
    assert (built / "kubectl").is_symlink()
    assert binaries(tmp_path, tmp_path).kubernetes() == built
