import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support.postgresql import postgresql


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def fresh(server: str) -> Callable[[], str]:
    """Make an empty database and return its URL."""
    numbers = itertools.count()

    def make() -> str:
        name = f"ledger{next(numbers)}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"{server}/{name}"

    return make
