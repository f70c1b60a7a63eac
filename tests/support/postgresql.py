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

from tests.cluster.packages import Packages
from tests.cluster.progress import Progress

UNPRIVILEGED = "postgres"


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a server while the context lasts; yields the URL of its database `postgres`, which ends without a slash."""
    Packages(Progress(), dict(os.environ)).require_postgresql()
    programs = _programs()
    user = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="mv-postgresql-"))
    try:
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
        data = directory / "data"
        command = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]
        subprocess.run(command, check=True, capture_output=True, cwd=directory, **as_user)  # type: ignore[call-overload]
        with _free_port() as port:
            # It has no port 0. Until it listens, this socket, which doesn't, keeps the number from being given to another.
            options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": directory, "max_connections": 60}
            arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
            log = (directory / "log").open("wb")
            server = subprocess.Popen([programs / "postgres", "-D", data, *arguments], stdout=log, stderr=log, cwd=directory, **as_user)  # type: ignore[call-overload]
            try:
                ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
                while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
                    if server.poll() is not None:
                        raise RuntimeError(f"PostgreSQL ended: {(directory / 'log').read_text()}")
                yield f"postgresql://postgres@127.0.0.1:{port}"
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(30)
                log.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


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
