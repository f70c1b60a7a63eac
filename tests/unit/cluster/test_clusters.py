"""The command line and the context managers, as far as no cluster is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import ClusterError, kind_cluster
from tests.cluster.certificates import CertificateAuthority
from tests.cluster.commands import run, run_watched
from tests.cluster.errors import CommandFailed

REPOSITORY = Path(__file__).parents[3]


def command(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    argv = [sys.executable, "-m", "tests.cluster", *arguments]
    return subprocess.run(argv, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)


def test_a_failure_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    result = command("kind", "load", "--name", "nobody", "archive.tar", cache=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("There is no cluster nobody: make it with")
    assert "Traceback" not in result.stderr


def test_a_name_that_kind_would_refuse_is_refused_at_once(tmp_path: Path) -> None:
    result = command("kind", "up", "--name", "Bad_Name", "--kubeconfig", "k", cache=tmp_path)
    assert (result.returncode, result.stderr) == (
        1,
        "'Bad_Name' is no name for a cluster: it takes at most 40 lower-case letters, digits and hyphens.\n",
    )


def test_removing_a_cluster_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    assert command("kind", "down", "--name", "nobody", cache=tmp_path).returncode == 0
    assert command("kind", "list", cache=tmp_path).stdout == ""


def test_a_guard_returns_at_once_when_the_process_has_ended(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert command("kind", "guard", "--name", "nobody", "--pid", str(ended.pid), cache=tmp_path).returncode == 0


def test_an_image_without_a_dockerfile_is_refused_in_a_sentence(tmp_path: Path) -> None:
    result = command("image", "--dockerfile", str(tmp_path / "Dockerfile"), "--tag", "localhost/a:b", cache=tmp_path)
    assert (result.returncode, result.stderr) == (1, f"There is no {tmp_path}/Dockerfile.\n")


def test_an_unknown_kind_of_cluster_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "minikube")
    with pytest.raises(ClusterError, match="CLUSTER is 'minikube': it may be `kind`"), kind_cluster():
        pass


def test_an_existing_cluster_is_used_by_a_copy_of_the_current_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("kubectl", "helm"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'current-context: theirs'\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("CLUSTER", "existing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with kind_cluster() as cluster:
        assert cluster.kubeconfig.read_text() == "current-context: theirs\n"
        assert cluster.kubectl_path == tmp_path / "kubectl"
        cluster.load(Path("/no/archive"))
    assert not cluster.folder.exists()


def test_an_existing_cluster_without_programs_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLUSTER", "existing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="CLUSTER=existing uses the kubectl on the PATH, and there is none"), kind_cluster():
        pass


def test_a_failed_program_is_quoted_with_its_last_lines() -> None:
    with pytest.raises(CommandFailed, match=r"Could not greet: `sh -c .*` ended with 3\.\n  hello\n  trouble") as caught:
        run(["sh", "-c", "echo hello; echo trouble >&2; exit 3"], what="greet")
    assert caught.value.exit_code == 3


def test_lines_are_passed_on_while_a_program_runs() -> None:
    lines: list[str] = []
    run_watched(["sh", "-c", "echo one; echo two >&2"], what="count", on_line=lines.append)
    assert lines == ["one", "two"]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"Could not make certificates: the program .*kubeadm is missing"):
        CertificateAuthority(tmp_path / "kubeadm", tmp_path, {}).create(1)
