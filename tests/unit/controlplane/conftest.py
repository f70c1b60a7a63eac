from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.ledger import World, ledger_at, sqlite_url


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with ledger_at(sqlite_url(tmp_path)) as world:
        yield world
