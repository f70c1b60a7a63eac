import shutil
import sqlite3
from pathlib import Path

import pytest

from mistral_voice.controlplane.store.backups import back_up, backups_in, keep_newest, made_at, name_of, restore
from mistral_voice.controlplane.store.errors import DatabaseUnusable
from tests.support.ledger import BEGIN, World, a_report, a_request, ledger_at, sqlite_url


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_a_backup_taken_in_use_is_a_whole_database(world: World, tmp_path: Path, elsewhere: Path) -> None:
    await world.ledger.admit(a_request())
    await world.ledger.renew(a_report(seconds=3))
    back_up(tmp_path / "ledger.db", elsewhere / "ledger.db")
    assert names_in(elsewhere) == ["ledger.db"]
    async with ledger_at(sqlite_url(elsewhere)) as copy:
        assert await copy.used() == (3000, 0)
        assert await copy.held() == 1


async def test_a_session_goes_on_over_a_restored_database_and_each_unit_still_counts_once(tmp_path: Path, elsewhere: Path) -> None:
    async with ledger_at(sqlite_url(tmp_path)) as world:
        await world.ledger.admit(a_request())
        await world.ledger.renew(a_report(seconds=3, tokens=10))
        back_up(tmp_path / "ledger.db", elsewhere / "copy.db")
        await world.ledger.renew(a_report(seq=2, seconds=8, tokens=40))
    (tmp_path / "ledger.db").unlink()
    assert restore(elsewhere / "copy.db", tmp_path / "ledger.db", forced=False) is None
    async with ledger_at(sqlite_url(tmp_path)) as world:
        await world.ledger.renew(a_report(seq=3, seconds=9, tokens=50))
        assert await world.used() == (9000, 100) == await world.charged()


async def test_a_database_that_is_in_use_is_not_replaced(world: World, tmp_path: Path, elsewhere: Path) -> None:
    back_up(tmp_path / "ledger.db", elsewhere / "copy.db")
    with pytest.raises(DatabaseUnusable, match="stop the control plane first"):
        restore(elsewhere / "copy.db", tmp_path / "ledger.db", forced=True)
    assert isinstance(await world.used(), tuple)


async def test_what_a_backup_does_not_know_is_forgotten_only_by_force_and_kept_beside(tmp_path: Path, elsewhere: Path) -> None:
    async with ledger_at(sqlite_url(tmp_path)) as world:
        await world.ledger.admit(a_request())
        back_up(tmp_path / "ledger.db", elsewhere / "copy.db")
        world.now += 5
        await world.ledger.renew(a_report(seconds=5))
    with pytest.raises(DatabaseUnusable, match="would be forgotten"):
        restore(elsewhere / "copy.db", tmp_path / "ledger.db", forced=False)
    aside = restore(elsewhere / "copy.db", tmp_path / "ledger.db", forced=True)
    assert aside == tmp_path / "ledger.db.before-restore"
    async with ledger_at(sqlite_url(tmp_path)) as world:
        assert await world.used() == (0, 0)
    async with ledger_at(f"sqlite:///{aside}") as world:
        assert await world.used() == (5000, 0)


async def test_a_damaged_database_is_replaced_by_force_and_its_log_does_not_stay(tmp_path: Path, elsewhere: Path) -> None:
    async with ledger_at(sqlite_url(tmp_path)) as world:
        await world.ledger.admit(a_request())
        back_up(tmp_path / "ledger.db", elsewhere / "copy.db")
    (tmp_path / "ledger.db").write_bytes(b"damaged" * 1000)
    (tmp_path / "ledger.db-wal").write_bytes(b"log of another" * 1000)
    with pytest.raises(DatabaseUnusable, match="--force"):
        restore(elsewhere / "copy.db", tmp_path / "ledger.db", forced=False)
    restore(elsewhere / "copy.db", tmp_path / "ledger.db", forced=True)
    assert not (tmp_path / "ledger.db-wal").exists()
    async with ledger_at(sqlite_url(tmp_path)) as world:
        assert await world.held() == 1


@pytest.mark.parametrize("damage", ["page", "version", "other", "missing"])
async def test_a_backup_that_cannot_be_used_changes_nothing(tmp_path: Path, elsewhere: Path, damage: str) -> None:
    async with ledger_at(sqlite_url(tmp_path)) as world:
        await world.ledger.admit(a_request())
        copy = elsewhere / "copy.db"
        back_up(tmp_path / "ledger.db", copy)
    match damage:
        case "page":
            whole = copy.read_bytes()
            copy.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
        case "version":
            with sqlite3.connect(copy) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.close()
        case "other":
            copy.write_text("no database")
        case _:
            copy.unlink()
    before = shutil.copyfile(tmp_path / "ledger.db", elsewhere / "before.db").read_bytes()
    with pytest.raises(DatabaseUnusable, match=r"damaged|later version|no ledger|There is no file"):
        restore(copy, tmp_path / "ledger.db", forced=True)
    assert (tmp_path / "ledger.db").read_bytes() == before


async def test_a_backup_takes_no_other_files_place(world: World, tmp_path: Path, elsewhere: Path) -> None:
    (elsewhere / "mine").write_text("mine")
    with pytest.raises(DatabaseUnusable, match="exists already"):
        back_up(tmp_path / "ledger.db", elsewhere / "mine")
    with pytest.raises(DatabaseUnusable, match="can't be backed up"):
        back_up(tmp_path / "ledger.db", elsewhere / "missing" / "copy.db")
    assert (elsewhere / "mine").read_text() == "mine"


def test_the_newest_backups_are_kept_and_other_files_left_alone(elsewhere: Path) -> None:
    names = [name_of(BEGIN + 60 * minute) for minute in range(5)]
    for name in (*names, "notes.txt", "ledger-today.db"):
        (elsewhere / name).touch()
    assert keep_newest(elsewhere, 2) == 3
    assert [path.name for path in backups_in(elsewhere)] == names[3:]
    assert made_at(elsewhere / names[0]) == BEGIN
    assert (elsewhere / "notes.txt").exists()
    assert (elsewhere / "ledger-today.db").exists()
