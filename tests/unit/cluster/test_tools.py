"""Which programs are used, and which engine."""

from pathlib import Path

import pytest

from tests.cluster.binaries import Binaries
from tests.cluster.errors import ClusterError
from tests.cluster.provider import Provider, choose_provider
from tests.cluster.tools import find_tools, parse_version

OWN = Path("/own")


class OwnBinaries(Binaries):
    """Programs that need no build."""

    def __init__(self) -> None:
        """Nothing is built."""

    def kubernetes(self) -> Path:
        return OWN

    def kind(self) -> Path:
        return OWN / "kind"


def program(folder: Path, name: str, output: str, exit_code: int = 0) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{output}'\nexit {exit_code}\n")
    (folder / name).chmod(0o755)


def test_fitting_programs_on_the_path_are_used(tmp_path: Path) -> None:
    program(tmp_path, "kind", "kind v0.33.0 go1.26 linux/amd64")
    program(tmp_path, "kubectl", "Client Version: v1.36.1")
    program(tmp_path, "helm", "v4.1.4+g123")
    tools = find_tools(Provider.DOCKER, OwnBinaries(), {"PATH": str(tmp_path)})
    assert (tools.kind, tools.kubectl, tools.helm) == (tmp_path / "kind", tmp_path / "kubectl", tmp_path / "helm")


def test_old_broken_or_missing_programs_are_replaced_by_our_own(tmp_path: Path) -> None:
    program(tmp_path, "kind", "kind v0.20.0 go1.20 linux/amd64")
    program(tmp_path, "kubectl", "Client Version: v1.36.1", exit_code=1)
    tools = find_tools(Provider.DOCKER, OwnBinaries(), {"PATH": str(tmp_path)})
    assert (tools.kind, tools.kubectl, tools.helm) == (OWN / "kind", OWN / "kubectl", OWN / "helm")


def test_with_podman_all_programs_are_our_own(tmp_path: Path) -> None:
    program(tmp_path, "kind", "kind v0.33.0 go1.26 linux/amd64")
    assert find_tools(Provider.PODMAN, OwnBinaries(), {"PATH": str(tmp_path)}).kind == OWN / "kind"


def test_a_version_is_found_in_what_a_program_prints() -> None:
    assert parse_version("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0") == (1, 32)
    assert parse_version("none") is None


def test_an_engine_that_answers_is_used_and_else_podman(tmp_path: Path) -> None:
    assert choose_provider({"PATH": str(tmp_path)}) is Provider.PODMAN
    program(tmp_path, "docker", "Cannot connect to the Docker daemon", exit_code=1)
    assert choose_provider({"PATH": str(tmp_path)}) is Provider.PODMAN
    program(tmp_path, "docker", "Server Version: 30")
    assert choose_provider({"PATH": str(tmp_path)}) is Provider.DOCKER
    assert choose_provider({"PATH": str(tmp_path), "KIND_EXPERIMENTAL_PROVIDER": "podman"}) is Provider.PODMAN


def test_an_unknown_engine_is_refused_in_a_sentence() -> None:
    with pytest.raises(ClusterError, match="KIND_EXPERIMENTAL_PROVIDER is 'lxc': kind knows docker, nerdctl, podman"):
        choose_provider({"KIND_EXPERIMENTAL_PROVIDER": "lxc"})
