"""`mistral-voice control-plane backup` and `… restore`: copies of SQLite's database, by hand."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mistral_voice.controlplane.store.backups import back_up, backups_in, name_of, restore
from mistral_voice.controlplane.store.database import sqlite_file
from mistral_voice.controlplane.store.errors import DatabaseUnusable

COMMANDS: Final = ("backup", "restore")


def main(argv: Sequence[str]) -> int:
    """Carry out one of `COMMANDS` and return 0; 1 if it can't be."""
    given = _parse(argv)
    try:
        database = sqlite_file(given.database_url)
        if database is None:
            raise DatabaseUnusable("Only SQLite is copied so: use pg_dump and pg_restore, or your provider's backups, for PostgreSQL.")
        said = _back_up(database, given.target) if given.command == "backup" else _restore(given.source, database, forced=given.force)
    except (DatabaseUnusable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


def _back_up(database: Path, target: Path) -> str:
    file = target / name_of(time.time()) if target.is_dir() else target
    back_up(database, file)
    return f"{database} was backed up to {file}."


def _restore(source: Path, database: Path, *, forced: bool) -> str:
    if source.is_dir():
        found = backups_in(source)
        if not found:
            raise DatabaseUnusable(f"There is no backup in {source}.")
        source = found[-1]
    aside = restore(source, database, forced=forced)
    return f"{source} is {database} now.{f' What was there is {aside}.' if aside is not None else ''}"


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mistral-voice control-plane", description="Copy the ledger's database, if it is SQLite's.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("backup", help="copy the database, while it is in use")
    making.add_argument("target", type=Path, help="a new file, or a directory, in which it is named by the time")
    putting = commands.add_parser("restore", help="put a backup in the database's place, while no control plane runs")
    putting.add_argument("source", type=Path, help="a backup, or a directory, whose newest is taken")
    putting.add_argument("--force", action="store_true", help="also if the database there knows of something that the backup doesn't")
    for one in (making, putting):
        default = os.environ.get("MISTRAL_VOICE_DATABASE_URL", "sqlite:////var/lib/mistral-voice/ledger.db")
        one.add_argument("--database-url", default=default, help="sqlite:/// and the database's path")
    return parser.parse_args(argv)
