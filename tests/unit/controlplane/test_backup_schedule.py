from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from mistral_voice.controlplane.backup_schedule import BackupSchedule
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.controlplane.settings import parse
from mistral_voice.controlplane.store.backups import backups_in
from mistral_voice.controlplane.store.database import Database, Dialect
from mistral_voice.controlplane.store.errors import DatabaseUnusable
from tests.support.ledger import World


def a_schedule(world: World, directory: Path) -> BackupSchedule:
    assert world.database.file is not None
    return BackupSchedule(world.database.file, directory, 3600, 2, ControlPlaneMetrics(CollectorRegistry()), lambda: world.now)


async def test_a_backup_is_made_when_the_youngest_is_old_enough_and_the_newest_are_kept(world: World, tmp_path: Path) -> None:
    directory = tmp_path / "backups"
    made = []
    for _ in range(8):
        # Each time as a process that has just begun.
        made.append(await a_schedule(world, directory).once())
        world.now += 1800
    assert made == [True, False] * 4
    assert len(backups_in(directory)) == 2


async def test_a_clock_that_was_ahead_keeps_no_backup_from_being_made(world: World, tmp_path: Path) -> None:
    schedule = a_schedule(world, tmp_path / "backups")
    world.now += 100_000
    assert await schedule.once()
    world.now -= 100_000
    assert [await schedule.once(), await schedule.once()] == [True, False]


async def test_postgresql_has_no_such_backups(world: World, tmp_path: Path) -> None:
    arguments = ["--name", "a", "--brokers", "b/c", "--backup-directory", str(tmp_path)]
    with pytest.raises(DatabaseUnusable, match="pg_dump"):
        BackupSchedule.of(
            parse(arguments), Database(world.database.engine, Dialect.POSTGRESQL), ControlPlaneMetrics(CollectorRegistry()), lambda: 0.0
        )
