"""A guardian: a small process of its own that ends what was started, whatever becomes of the one who started it.

`with Guardian() as guardian:` covers the ordinary end, an exception, Ctrl-C and `kill -9` by the same path: the guardian sees that its
owner is gone (a pipe closes, a pidfd becomes readable), kills the processes it started, runs the final commands and removes the folders.
Should the guardian itself be killed, the kernel kills its processes (PR_SET_PDEATHSIG).
"""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.errors import ClusterError

SCRIPT = Path(__file__).with_name("guardian_process.py")


def wait_for_end(pid: int) -> None:
    """Return when a process has ended; it need not be a child of ours."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
    os.close(pidfd)


class GuardedProcess:
    """A process that lives at most as long as its guardian's owner."""

    def __init__(self, pid: int, name: str, log: Path) -> None:
        self.pid = pid
        self.name = name
        self.log = log
        self._pidfd = os.pidfd_open(pid)

    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def wait(self) -> None:
        """Return when the process has ended."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.poll()

    def last_lines(self, count: int = 15) -> str:
        """The end of what the process wrote to its standard output and error."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {line}" for line in lines[-count:])

    def close(self) -> None:
        """Stop observing the process; it goes on."""
        os.close(self._pidfd)


class Guardian:
    """Starts processes, makes temporary folders and sees to their end. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observed: list[GuardedProcess] = []
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SCRIPT), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything and wait until it is done.

        Raises:
            ClusterError: something could not be removed.
        """
        with self._lock:
            for process in self._observed:
                process.close()
            self._observed.clear()
            self._process.communicate()
        if self._process.returncode != 0:
            raise ClusterError("Not everything that was started could be removed: see the messages above.")

    def folder(self, prefix: str) -> Path:
        """A new temporary folder that is removed at the end."""
        return Path(self._request({"do": "folder", "prefix": prefix})["path"])

    def start(self, name: str, argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str]) -> GuardedProcess:
        """Start a program whose output goes to the file `log`."""
        process = GuardedProcess(self._start(argv, env, Path("/"), log)["pid"], name, log)
        with self._lock:
            self._observed.append(process)
        return process

    def run(self, argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path) -> int:
        """Run a program to its end, with this process's standard error for its output, and return its exit code.

        If this process ends first, the program and all it started are killed before the final commands run.
        """
        process = GuardedProcess(self._start(argv, env, cwd, None)["pid"], str(argv[0]), Path(os.devnull))
        try:
            process.wait()
        finally:
            process.close()
        exit_code: int = self._request({"do": "stop", "pid": process.pid, "grace_seconds": 10})["exit_code"]
        return exit_code

    def stop(self, process: GuardedProcess, *, grace_seconds: float = 10.0) -> None:
        """End one process before the others: SIGTERM, and SIGKILL after the grace period."""
        self._request({"do": "stop", "pid": process.pid, "grace_seconds": grace_seconds})

    def finally_run(self, argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path) -> None:
        """Run a program at the end, after all processes are gone; later ones run first."""
        self._request({"do": "finally", "argv": [str(argument) for argument in argv], "env": dict(env), "cwd": str(cwd)})

    def _start(self, argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path, log: Path | None) -> dict[str, Any]:
        arguments = [str(argument) for argument in argv]
        return self._request({"do": "start", "argv": arguments, "log": log and str(log), "env": dict(env), "cwd": str(cwd)})

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            try:
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()
                line = stdout.readline()
            except (BrokenPipeError, ValueError) as error:
                raise ClusterError("The guardian of the cluster's processes has ended: nothing more can be started.") from error
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the guardian of the cluster's processes has ended"}
        if "error" in answer:
            subject = request["argv"][0] if "argv" in request else ""
            raise ClusterError(f"Could not {request['do']} {subject}: {answer['error']}.")
        return answer
