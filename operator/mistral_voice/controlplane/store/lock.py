"""Who has an SQLite database open: a lock beside it, which the kernel takes back from whoever dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mistral_voice.controlplane.store.errors import DatabaseUnusable


@dataclass(frozen=True)
class DatabaseLock:
    """The lock of the database in a file."""

    database: Path

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it with others that have the database open. Raises `DatabaseUnusable` while it is being restored."""
        with self._held(fcntl.LOCK_SH, "is being restored: start again when that is done"):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it alone. Raises `DatabaseUnusable` if somebody has the database open."""
        with self._held(fcntl.LOCK_EX, "is in use: stop the control plane first"):
            yield

    @contextlib.contextmanager
    def _held(self, how: int, otherwise: str) -> Iterator[None]:
        path = self.database.with_name(self.database.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnusable(f"The database's lock {path} can't be used: {error.strerror}.") from error
        try:
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatabaseUnusable(f"{self.database} {otherwise}.") from None
            yield
        finally:
            os.close(descriptor)
