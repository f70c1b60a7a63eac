"""Backups of SQLite's database at fixed intervals, of which the newest are kept."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.controlplane.settings import Settings
from mistral_voice.controlplane.store.backups import back_up, backups_in, keep_newest, made_at, name_of
from mistral_voice.controlplane.store.database import Database
from mistral_voice.controlplane.store.errors import DatabaseUnusable

LOOK_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 60.0

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackupSchedule:
    """Makes a backup of `database` whenever the youngest in `directory` is older than `every_seconds`, also one of an earlier process."""

    database: Path
    directory: Path
    every_seconds: int
    keep: int
    metrics: ControlPlaneMetrics
    wall_clock: Callable[[], float]

    @classmethod
    def of(
        cls, settings: Settings, database: Database, metrics: ControlPlaneMetrics, wall_clock: Callable[[], float]
    ) -> "BackupSchedule | None":
        """Return the schedule that the settings ask for. Raises `DatabaseUnusable` if the database can't be backed up so."""
        if settings.backup_directory is None:
            return None
        if database.file is None:
            raise DatabaseUnusable("Only SQLite has --backup-directory: use pg_dump or your provider's backups for PostgreSQL.")
        return cls(database.file, settings.backup_directory, settings.backup_every_seconds, settings.backup_keep, metrics, wall_clock)

    async def run(self) -> None:
        """Keep on until cancelled. What can't be written is said, counted and tried again; sessions don't suffer from it."""
        while True:
            try:
                await self.once()
                pause = min(LOOK_SECONDS, self.every_seconds)
            except (DatabaseUnusable, OSError) as error:
                self.metrics.backups.labels("failed").inc()
                _log.error("The ledger can't be backed up, and %.0f s from now it is tried again: %s", AGAIN_SECONDS, error)
                pause = AGAIN_SECONDS
            await asyncio.sleep(pause)

    async def once(self) -> bool:
        """Make a backup if one is due, and return whether it was. Raises `DatabaseUnusable` or OSError."""
        now = self.wall_clock()
        youngest = await asyncio.to_thread(self._youngest, now)
        self.metrics.backed_up.set(youngest)
        if now < youngest + self.every_seconds:
            return False
        await asyncio.to_thread(self._make, self.directory / name_of(now))
        self.metrics.backups.labels("made").inc()
        self.metrics.backed_up.set(int(now))
        return True

    def _youngest(self, now: float) -> float:
        self.directory.mkdir(parents=True, exist_ok=True)
        # One from the future was made under a wrong clock, and keeps no other from being made.
        return max((made for path in backups_in(self.directory) if (made := made_at(path) or 0.0) <= now), default=0.0)

    def _make(self, target: Path) -> None:
        back_up(self.database, target)
        removed = keep_newest(self.directory, self.keep)
        _log.info("The ledger was backed up to %s; %d older backups were removed.", target, removed)
