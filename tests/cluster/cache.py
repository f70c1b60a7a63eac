"""Things that take minutes to make and are kept between runs: each is a folder named after a digest of what it was made from."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import MissingPrerequisite
from tests.cluster.progress import Progress

KEPT_ENTRIES = 2


def cache_root(environ: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/mistral-voice-operator`, by default below `~/.cache`."""
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".cache")
    return Path(base) / "mistral-voice-operator"


def digest(*parts: str | bytes | Path) -> str:
    """A short hexadecimal digest of texts and of files' contents; a folder counts with the names and contents of all files below it."""
    sha = hashlib.sha256()
    for part in parts:
        for chunk in _chunks(part):
            sha.update(len(chunk).to_bytes(8, "big"))
            sha.update(chunk)
    return sha.hexdigest()[:20]


def _chunks(part: str | bytes | Path) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
    elif isinstance(part, str):
        yield part.encode()
    elif part.is_dir():
        for file in sorted(file for file in part.rglob("*") if file.is_file() and "__pycache__" not in file.parts):
            yield str(file.relative_to(part)).encode()
            yield file.read_bytes()
    else:
        yield part.read_bytes()


class Cache:
    """A folder of finished things. Two processes that want the same one don't make it twice, and nobody sees one half made."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self.root = root
        self._progress = progress

    def entry(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        """The folder `<root>/<kind>/<key>`; if it is not there yet, `make` fills an empty folder that then becomes it.

        Older entries of the same kind are removed, except for the one used last.
        """
        folder = self.root / kind / key
        if not folder.is_dir():
            with self.locked(kind):
                if not folder.is_dir():
                    self._make(folder, make)
                    self._prune(folder.parent)
        os.utime(folder)
        return folder

    def newest_entry(self, kind: str, prefix: str) -> Path | None:
        """The entry whose key begins with `prefix` that was used last, if there is one."""
        found = [folder for folder in (self.root / kind).glob(f"{prefix}*") if folder.is_dir()]
        return max(found, key=lambda folder: folder.stat().st_mtime, default=None)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against other processes; says so when it has to wait."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name.replace("/", "-")).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._progress.note(f"Another process is making or using {name}: waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def require_space(self, gigabytes: float) -> None:
        """Refuse to begin what would not fit on the disk.

        Raises:
            MissingPrerequisite: less than `gigabytes` are free where the cache lies.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free / 1e9
        if free < gigabytes:
            raise MissingPrerequisite(
                f"Only {free:.1f} GB are free below {self.root}, about {gigabytes:.0f} GB are needed: "
                "free some space or let XDG_CACHE_HOME name a folder on another disk."
            )

    def _make(self, folder: Path, make: Callable[[Path], None]) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(".making-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            make(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _prune(self, parent: Path) -> None:
        finished = [folder for folder in parent.iterdir() if not folder.name.startswith(".")]
        finished.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in finished[KEPT_ENTRIES:]:
            shutil.rmtree(folder, ignore_errors=True)
