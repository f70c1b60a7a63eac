"""PostgreSQL as the distribution has it, for tests: in a directory of its own, on loopback, as a user without rights, ended by its id."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.packages import Packages
from tests.cluster.progress import Progress

UNPRIVILEGED = "postgres"


class Server:
    """A server in a directory that `initdb` made, on a port of its own."""

    def __init__(self, programs: Path, directory: Path, port: int, user: pwd.struct_passwd | None) -> None:
        self.url = f"postgresql://postgres@127.0.0.1:{port}"
        self._programs, self._directory, self._port = programs, directory, port
        self._user = _as_user(user)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. After a kill, what is left of the former one may keep the directory for a moment."""
        while not self._started():
            continue

    def _started(self) -> bool:
        options = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": self._directory, "max_connections": 60}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._directory / "data"), *arguments]
        with (self._directory / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory, **self._user)
        self._process = process
        ready = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self._port), "-t", "1"]
        while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
            if process.poll() is not None:
                said = (self._directory / "log").read_text()
                if "is still in use" not in said.rpartition("FATAL")[2]:
                    raise RuntimeError(f"PostgreSQL ended: {said}")
                return False
        return True

    def kill(self) -> None:
        """End it at once, as a power failure would: its backends end by themselves when they see that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a server while the context lasts; yields the URL of its database `postgres`, which ends without a slash."""
    with postgresql_server() as server:
        yield server.url


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """Run a server that may be killed and started again while the context lasts."""
    Packages(Progress(), dict(os.environ)).require_postgresql()
    programs = _programs()
    user = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="mv-postgresql-"))
    try:
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        command = [str(programs / "initdb"), "-D", str(directory / "data"), "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]
        subprocess.run(command, check=True, capture_output=True, cwd=directory, **_as_user(user))
        # It has no port 0. Until it listens, this socket, which doesn't, keeps the number from being given to another.
        with _free_port() as port:
            server = Server(programs, directory, port, user)
            try:
                server.start()
                yield server
            finally:
                server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}


def _programs() -> Path:
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if re.fullmatch(r"\d+", path.parent.name)]
    newest = max(versions, key=lambda path: int(path.parent.name), default=None)
    if newest is not None:
        return newest
    found = shutil.which("postgres")
    if found is None:
        raise RuntimeError("PostgreSQL's programs are neither in /usr/lib/postgresql nor on the PATH.")
    return Path(found).parent


@contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
