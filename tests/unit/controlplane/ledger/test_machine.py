"""The ledger's invariants on SQLite, whatever comes."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.ledger_machine import LedgerMachine


def test_the_ledger_counts_each_unit_once_and_frees_each_hold() -> None:
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as directory:

        class OnSqlite(LedgerMachine):
            @staticmethod
            def url() -> str:
                return f"sqlite:///{Path(directory) / f'{next(numbers)}.db'}"

        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(
            OnSqlite, settings=settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=checks)
        )
