"""Copies of an SQLite database: made while it is in use, and put in its place. Blocking: call them in a thread."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mistral_voice.controlplane.store.database import BUSY_TIMEOUT_MS
from mistral_voice.controlplane.store.errors import DatabaseUnusable
from mistral_voice.controlplane.store.lock import DatabaseLock
from mistral_voice.controlplane.store.migrate import known_revisions

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_PREFIX: Final = "ledger-"
_SUFFIX: Final = ".db"
_UNFINISHED: Final = ".unfinished"
_ASIDE: Final = ".before-restore"
_BESIDE: Final = ("", "-wal", "-shm")


def back_up(source: Path, target: Path) -> None:
    """Write a copy of a database to a new file: whole, checked and on the disk once the file has its name. Raises `DatabaseUnusable`."""
    if target.exists():
        raise DatabaseUnusable(f"{target} exists already: name a file that doesn't, or a directory.")
    unfinished = target.with_name(target.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    try:
        with _opened(source) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        check(unfinished)
        _settle(unfinished, target)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseUnusable(f"{source} can't be backed up to {target}: {error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def name_of(now: float) -> str:
    """Return the name of the backup made at this second since 1970."""
    return f"{_PREFIX}{datetime.fromtimestamp(now, UTC).strftime(_STAMP)}{_SUFFIX}"


def made_at(path: Path) -> float | None:
    """Return when a backup was made, by its name; None if it is no backup."""
    try:
        return datetime.strptime(path.name, f"{_PREFIX}{_STAMP}{_SUFFIX}").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def backups_in(directory: Path) -> list[Path]:
    """Return the backups that lie in a directory, the oldest first. Raises OSError."""
    return sorted(path for path in directory.iterdir() if made_at(path) is not None)


def keep_newest(directory: Path, keep: int) -> int:
    """Remove all backups but the newest, and return how many were removed. Raises OSError."""
    surplus = backups_in(directory)[: -keep or None]
    for path in surplus:
        path.unlink()
    return len(surplus)


def check(path: Path) -> int:
    """Return the moment, in milliseconds since 1970, of the youngest thing that a database knows, 0 if nothing.

    Raises `DatabaseUnusable` if it is damaged, is no ledger, or was made by a later version of this program.
    """
    if not path.is_file():
        raise DatabaseUnusable(f"There is no file {path}.")
    try:
        with _opened(path) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise DatabaseUnusable(f"{path} is damaged: {'; '.join(found)}.")
            revisions = [str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version")]
            if len(revisions) != 1 or revisions[0] not in known_revisions():
                raise DatabaseUnusable(
                    f"{path} was made by a later version of mistral-voice than this one (schema {', '.join(revisions)})."
                )
            youngest = 0
            for table, column in (("entries", "at"), ("audit", "at"), ("sessions", "started_at"), ("usage", "acknowledged_at")):
                # The names are those above.
                youngest = max(youngest, connection.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0])  # noqa: S608
            return youngest
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"{path} is no ledger, or is damaged: {error}.") from error


def restore(source: Path, target: Path, *, forced: bool) -> Path | None:
    """Put a backup in a database's place and return where what was there is kept. Nothing changes unless all goes well.

    Raises `DatabaseUnusable` if a control plane has the database open; if the backup can't be used; and, unless `forced`, if what is
    there knows of something that the backup doesn't, or can't be read.
    """
    youngest = check(source)
    with DatabaseLock(target).alone():
        there = target.exists()
        if there and not forced:
            _check_age(target, youngest)
        unfinished = target.with_name(target.name + _UNFINISHED)
        try:
            shutil.copyfile(source, unfinished)
            check(unfinished)
            aside = _put_aside(target)
            _settle(unfinished, target)
        except OSError as error:
            raise DatabaseUnusable(f"{source} can't be restored to {target}: {error}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
    return aside if there else None


def _check_age(target: Path, youngest: int) -> None:
    try:
        known = check(target)
    except DatabaseUnusable as error:
        raise DatabaseUnusable(f"{error} Whether the backup is older can't be told: --force puts it in its place all the same.") from error
    if known > youngest:
        late = datetime.fromtimestamp(known / 1000, UTC).isoformat(timespec="seconds")
        early = datetime.fromtimestamp(youngest / 1000, UTC).isoformat(timespec="seconds")
        raise DatabaseUnusable(
            f"{target} knows of what happened until {late}, the backup only until {early}: what lies between would be forgotten. "
            "--force puts the backup in its place all the same."
        )


def _put_aside(target: Path) -> Path:
    """Move a database, with what belongs to it, out of the way."""
    number = 0
    while (aside := target.with_name(f"{target.name}{_ASIDE}{f'-{number}' if number else ''}")).exists():
        number += 1
    # What the log has goes into the database first. One that is too damaged for it is moved together with its log, which never may be
    # found beside the backup.
    with contextlib.suppress(sqlite3.Error, DatabaseUnusable), _opened(target) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for suffix in reversed(_BESIDE):
        with contextlib.suppress(FileNotFoundError):
            target.with_name(target.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _settle(unfinished: Path, target: Path) -> None:
    """Give a finished file its name once all of it is on the disk."""
    for suffix in _BESIDE[1:]:
        unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
    _flush(unfinished)
    unfinished.rename(target)
    _flush(target.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise DatabaseUnusable(f"There is no file {path}.")
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
