"""Bring the schema up to date, however many processes start at once."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6D765F6C65646772
"""The name of the lock under which replicas migrate one after the other: any number that no other program takes."""


def known_revisions() -> frozenset[str]:
    """Return the schema's versions that this program can bring up to date, its own among them."""
    return frozenset(script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions())


class SchemaUnknown(SQLAlchemyError):
    """The database was made by a later version of this program."""


async def migrate(engine: AsyncEngine, *, exclusive: bool) -> None:
    """Apply what is missing, in one transaction. `exclusive` takes a lock for it; SQLite's transactions exclude each other anyway."""
    async with engine.begin() as connection:
        if exclusive:
            await connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaUnknown(f"its schema is of a later version of mistral-voice than this one ({error})") from error
