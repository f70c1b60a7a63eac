from pathlib import Path

from tests.support.ledger import sqlite_url
from tests.support.ledger_killed import what_was_committed_is_whole


async def test_a_process_killed_in_the_midst_of_its_transactions_loses_and_doubles_nothing(tmp_path: Path) -> None:
    await what_was_committed_is_whole(sqlite_url(tmp_path))
