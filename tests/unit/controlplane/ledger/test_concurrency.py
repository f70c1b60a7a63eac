from pathlib import Path

from tests.support.ledger import sqlite_url
from tests.support.ledger_concurrency import no_limit_is_passed_and_every_unit_counts_once


async def test_two_processes_on_one_file_pass_no_limit_and_count_every_unit_once(tmp_path: Path) -> None:
    await no_limit_is_passed_and_every_unit_counts_once(sqlite_url(tmp_path), 2)
