"""The guardian: what was started ends, whatever becomes of the one who started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.guardian import Guardian
from tests.cluster.ports import reserved_ports

REPOSITORY = Path(__file__).parents[3]
OWNER = """
import os, sys, pathlib
from tests.cluster.guardian import Guardian
guardian = Guardian()
folder = guardian.folder("guardian-test-")
process = guardian.start("sleep", ["sleep", "1000"], log=folder / "log", env=dict(os.environ))
guardian.finally_run(["touch", sys.argv[1]], env=dict(os.environ), cwd=pathlib.Path("/"))
print(process.pid, guardian._process.pid, folder, flush=True)
sys.stdin.readline()
"""


class Owner:
    """A process with a guardian, a guarded process, a folder and a final command."""

    def __init__(self, marker: Path) -> None:
        argv = [sys.executable, "-c", OWNER, str(marker)]
        self.process = subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        pid, guardian, folder = self.process.stdout.readline().split()
        self.guarded, self.guardian, self.folder, self.marker = int(pid), int(guardian), Path(folder), marker

    def everything_is_gone(self) -> bool:
        return not psutil.pid_exists(self.guarded) and not psutil.pid_exists(self.guardian) and not self.folder.exists()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner(tmp_path / "marker")
    yield owner
    owner.process.kill()
    owner.process.communicate()


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_killed_owner_leaves_no_process_and_no_folder(owner: Owner) -> None:
    assert psutil.pid_exists(owner.guarded)
    assert owner.folder.is_dir()
    owner.process.kill()
    wait_until(owner.everything_is_gone)
    assert owner.marker.exists(), "the final command did not run"


def test_an_owner_that_ends_leaves_no_process_and_no_folder(owner: Owner) -> None:
    owner.process.communicate("end\n")
    wait_until(owner.everything_is_gone)
    assert owner.marker.exists()


def test_an_interrupt_from_the_terminal_does_not_end_the_guardian_before_its_owner(owner: Owner) -> None:
    os.kill(owner.guardian, signal.SIGINT)
    os.kill(owner.guardian, signal.SIGTERM)
    owner.process.kill()
    wait_until(owner.everything_is_gone)
    assert owner.marker.exists()


def test_processes_end_with_a_killed_guardian(owner: Owner) -> None:
    os.kill(owner.guardian, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(owner.guarded))
    owner.folder.joinpath("log").unlink()
    owner.folder.rmdir()


def test_a_guarded_process_that_ended_is_seen_and_its_last_words_kept(tmp_path: Path) -> None:
    with Guardian() as guardian:
        process = guardian.start("shell", ["sh", "-c", "echo one; echo two >&2; exit 3"], log=tmp_path / "log", env=dict(os.environ))
        wait_until(lambda: not process.is_running())
        assert process.last_lines() == "  one\n  two"


def test_a_program_run_to_its_end_gives_its_exit_code() -> None:
    with Guardian() as guardian:
        assert guardian.run(["sh", "-c", "exit 7"], env=dict(os.environ), cwd=Path("/")) == 7


def test_one_process_can_be_stopped_before_the_others(tmp_path: Path) -> None:
    with Guardian() as guardian:
        first, second = (
            guardian.start("sleep", ["sleep", "1000"], log=tmp_path / name, env=dict(os.environ)) for name in ("first", "second")
        )
        guardian.stop(first)
        assert not first.is_running()
        assert second.is_running()


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with Guardian() as guardian, pytest.raises(ClusterError, match=r"Could not start /no/such/program: .*No such file"):
        guardian.start("none", ["/no/such/program"], log=tmp_path / "log", env={})


def test_a_final_command_that_fails_is_not_kept_quiet() -> None:
    guardian = Guardian()
    guardian.finally_run(["false"], env=dict(os.environ), cwd=Path("/"))
    with pytest.raises(ClusterError, match="Not everything"):
        guardian.close()


def test_reserved_ports_are_taken_only_by_those_who_share_them() -> None:
    import socket

    with reserved_ports(2) as (first, second):
        assert first != second
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", first))
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind(("127.0.0.1", second))
            server.listen()
            for _ in range(20):
                socket.create_connection(("127.0.0.1", second), timeout=5).close()
                server.accept()[0].close()
