"""The process behind `guardian.py`. A script that imports nothing of ours, so that it works on whatever becomes of the source tree.

It reads requests as JSON lines from its standard input and answers each with one JSON line. When its input ends, or its owner does,
it kills what it started, runs the final commands, removes the folders and ends.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
REMOVAL_ATTEMPTS = 5


class GuardianProcess:
    """Owns processes, folders and final commands until its owner goes."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._folders: list[str] = []
        self._final_commands: list[dict[str, Any]] = []
        self._libc = ctypes.CDLL(None, use_errno=True)

    def serve(self, owner: int) -> None:
        """Answer requests until the owner's pipe is closed or the owner ends."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        try:
            poll.register(os.pidfd_open(owner), select.POLLIN)
        except ProcessLookupError:
            return
        buffered = b""
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if ready != {0}:
                return
            received = os.read(0, 65536)
            if not received:
                return
            *lines, buffered = (buffered + received).split(b"\n")
            for line in lines:
                self._reply(self._answer(json.loads(line)))

    def end_everything(self) -> int:
        """Leave nothing behind; the result is the exit code, 0 if all of it worked."""
        failures = 0
        for process in self._processes.values():
            _kill_group(process.pid)
        for process in self._processes.values():
            process.wait()
        for command in reversed(self._final_commands):
            result = subprocess.run(
                command["argv"], env=command["env"], cwd=command["cwd"], stdin=subprocess.DEVNULL, stdout=2, check=False
            )
            failures += result.returncode != 0
        for folder in reversed(self._folders):
            for _ in range(REMOVAL_ATTEMPTS):
                shutil.rmtree(folder, ignore_errors=True)
            failures += Path(folder).exists()
        return min(failures, 1)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "start":
                return self._start(request)
            case "stop":
                return self._stop(request["pid"], request["grace_seconds"])
            case "folder":
                self._folders.append(tempfile.mkdtemp(prefix=request["prefix"]))
                return {"path": self._folders[-1]}
            case "finally":
                self._final_commands.append(request)
                return {}
        return {"error": f"unknown request {request['do']!r}"}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        guardian = os.getpid()

        def die_with_the_guardian() -> None:
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guardian:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with Path(request["log"]).open("ab") if request["log"] else os.fdopen(os.dup(2), "wb") as log:
                process = subprocess.Popen(
                    request["argv"],
                    env=request["env"],
                    cwd=request["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_the_guardian,  # noqa: PLW1509 (this process has one thread)
                )
        except OSError as error:
            return {"error": str(error)}
        self._processes[process.pid] = process
        return {"pid": process.pid}

    def _stop(self, pid: int, grace_seconds: float) -> dict[str, Any]:
        process = self._processes.pop(pid)
        process.terminate()
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            _kill_group(pid)
            process.wait()
        return {"exit_code": process.returncode}

    def _reply(self, answer: dict[str, Any]) -> None:
        os.write(1, json.dumps(answer).encode() + b"\n")


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> int:
    """Serve the process whose id is the first argument."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler, not SIG_IGN: the programs that are started would inherit that.
        signal.signal(ignored, lambda *_: None)
    guardian = GuardianProcess()
    try:
        guardian.serve(int(sys.argv[1]))
    except BrokenPipeError:
        return guardian.end_everything()
    return guardian.end_everything()


if __name__ == "__main__":
    raise SystemExit(main())
