"""A small file that others replace while we run: a mounted Secret's key."""

import os
from pathlib import Path

from msgspec import Struct

MAX_BYTES = 64 * 1024


class _Version(Struct, frozen=True):
    device: int
    inode: int
    modified_ns: int
    size: int


class WatchedFile:
    """Reads a file again when it has changed, by its status alone. Kubernetes swaps a directory link, so a change is always a new inode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: _Version | None = None
        self._content: bytes | None = None

    def read(self) -> bytes | None:
        """Return the present content, None if there is no such file or it can't be read."""
        version = self._stat()
        if version is None or version != self._version:
            self._content = self._read() if version is not None else None
            self._version = version if self._content is not None else None
        return self._content

    def _stat(self) -> _Version | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - one call, no object: asked for at each connection
        except OSError:
            return None
        return _Version(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

    def _read(self) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                return file.read(MAX_BYTES)
        except OSError:
            return None
