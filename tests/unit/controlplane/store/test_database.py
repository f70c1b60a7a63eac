from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from mistral_voice.controlplane.store.database import open_database
from mistral_voice.controlplane.store.errors import DatabaseUnusable
from mistral_voice.controlplane.store.file_system import magic_of, network_file_system
from mistral_voice.controlplane.store.schema import metadata
from tests.support.ledger import World, a_report, a_request, ledger_at, sqlite_url


async def test_migrations_make_the_tables_that_the_code_means(tmp_path: Path) -> None:
    async with open_database(sqlite_url(tmp_path)) as database, database.engine.begin() as connection:
        differences = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    assert differences == []


async def test_a_database_that_is_opened_again_knows_what_it_knew(tmp_path: Path) -> None:
    for seconds in (1, 2):
        async with ledger_at(sqlite_url(tmp_path)) as world:
            await world.ledger.admit(a_request())
            await world.ledger.renew(a_report(seconds=seconds))
            assert await world.used() == (seconds * 1000, 0)


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    async with open_database(sqlite_url(tmp_path)) as database, database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnusable, match="later version"):
        async with open_database(sqlite_url(tmp_path)):
            pass


async def test_a_commit_is_on_the_disk_before_it_is_answered(world: World) -> None:
    async with world.database.reading() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == 2


@pytest.mark.parametrize(
    ("magic", "name"), [(0x6969, "NFS"), (0xFE534D42, "SMB"), (0x65735546, "FUSE"), (-28095166, "SMB"), (0xEF53, None)]
)
def test_network_file_systems_are_known_by_their_magic_numbers(magic: int, name: str | None) -> None:
    assert network_file_system(magic) == name


async def test_a_file_system_of_the_kernel_is_no_network(tmp_path: Path) -> None:
    assert network_file_system(magic_of(tmp_path)) is None
    with pytest.raises(OSError, match="No such file"):
        magic_of(tmp_path / "missing")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite://", "needs a file"),
        ("sqlite:////missing/here/ledger.db", "can't be used: No such file"),
        ("mysql://u:hunter2@host/db", "no database for the ledger"),
        ("hunter2", "can't be read"),
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_in_a_sentence_without_its_password(url: str, sentence: str) -> None:
    with pytest.raises(DatabaseUnusable, match=sentence) as refused:
        async with open_database(url):
            pass
    assert "hunter2" not in str(refused.value)
