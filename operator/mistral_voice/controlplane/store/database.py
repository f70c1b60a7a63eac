"""Open the database: SQLite in a file of a local disk, or PostgreSQL."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mistral_voice.controlplane.store.errors import DatabaseUnusable
from mistral_voice.controlplane.store.file_system import magic_of, network_file_system
from mistral_voice.controlplane.store.lock import DatabaseLock
from mistral_voice.controlplane.store.migrate import migrate

BUSY_TIMEOUT_MS: Final = 5_000
STATEMENT_TIMEOUT_MS: Final = 5_000
_READ_ONLY: Final = "mistral_voice_read_only"
_SERVERS_NOW: Final = text("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)")


class Dialect(StrEnum):
    """The kinds of database."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Database:
    """An open database, migrated."""

    engine: AsyncEngine
    dialect: Dialect
    file: Path | None = None
    """The file of SQLite's."""
    clock: Callable[[], float] | None = None
    """The seconds since 1970 by which leases, holds and periods go; None: the server's, which is the same for all replicas."""

    async def now(self, connection: AsyncConnection) -> int:
        """Return the milliseconds since 1970 that decide, however wrong this machine's clock is where there are several."""
        if self.clock is not None:
            return int(self.clock() * 1000)
        return int((await connection.execute(_SERVERS_NOW)).scalar_one())

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that will write: on SQLite it is the only one from its begin."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads, and hinders no writer."""
        async with self.engine.connect() as connection:
            await connection.execution_options(**{_READ_ONLY: True})
            yield connection


@asynccontextmanager
async def open_database(url: str, *, connections: int = 5, own_clock: Callable[[], float] = time.time) -> AsyncIterator[Database]:
    """Open the database that `sqlite:///path/file.db` or `postgresql://…` names and bring its schema up to date.

    SQLite, which has no clock of its own, goes by that of its one process; PostgreSQL by the server's.

    Raises `DatabaseUnusable`.
    """
    parsed = _parse(url)
    with ExitStack() as closing:
        if parsed.get_backend_name() == Dialect.SQLITE:
            file = _file(parsed)
            closing.enter_context(DatabaseLock(file).shared())
            database = Database(_sqlite(parsed, connections), Dialect.SQLITE, file, own_clock)
        else:
            database = Database(_postgresql(parsed, connections), Dialect.POSTGRESQL)
        try:
            try:
                await migrate(database.engine, exclusive=database.dialect is Dialect.POSTGRESQL)
            except SQLAlchemyError as error:
                cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
                raise DatabaseUnusable(f"The database can't be opened or brought up to date: {cause}") from error
            yield database
        finally:
            await database.engine.dispose()


def sqlite_file(url: str) -> Path | None:
    """Return the file of the database that a URL names; None if it is none of SQLite. Raises `DatabaseUnusable`."""
    parsed = _parse(url)
    return _file(parsed) if parsed.get_backend_name() == Dialect.SQLITE else None


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUnusable("The database's URL can't be read: it begins with sqlite:/// or postgresql://.") from None
    if parsed.get_backend_name() not in set(Dialect):
        raise DatabaseUnusable(f"{parsed.get_backend_name()} is no database for the ledger: use sqlite or postgresql.")
    return parsed


def _file(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise DatabaseUnusable("The ledger needs a file: its URL is sqlite:/// and the path of one.")
    directory = Path(url.database).absolute().parent
    try:
        found = network_file_system(magic_of(directory))
    except OSError as error:
        raise DatabaseUnusable(f"The directory {directory} of the database can't be used: {error.strerror}.") from error
    if found is not None:
        raise DatabaseUnusable(
            f"The directory {directory} lies on a network file system ({found}), on which SQLite loses data: use a block volume, "
            "or PostgreSQL."
        )
    return Path(url.database).absolute()


def _sqlite(url: URL, connections: int) -> AsyncEngine:
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), pool_size=connections, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # The driver would begin transactions by itself, and too late: at the first write, when what was read may be out of date.
        connection.isolation_level = None
        cursor = connection.cursor()
        # FULL: each commit is on the disk before it is answered. A broker forgets a session once its release is acknowledged, so what a
        # power failure took would never be told again. It costs one flush a transaction, and a transaction carries many leases.
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, connections: int) -> AsyncEngine:
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout={2 * STATEMENT_TIMEOUT_MS}"
    return create_async_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=connections,
        max_overflow=0,
        isolation_level="READ COMMITTED",
        connect_args={"options": options, "connect_timeout": 5, "application_name": "mistral-voice"},
    )


async def ping(database: Database) -> None:
    """Ask the database for nothing. Raises SQLAlchemyError if it doesn't answer."""
    async with database.reading() as connection:
        await connection.execute(text("SELECT 1"))
