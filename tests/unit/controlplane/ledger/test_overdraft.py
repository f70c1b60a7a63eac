"""How far past its limits a namespace can come, on SQLite."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.ledger_overdraft import OverdraftMachine


def test_the_overdraft_of_money_and_time_stays_within_its_bound() -> None:
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as directory:

        class OnSqlite(OverdraftMachine):
            @staticmethod
            def url() -> str:
                return f"sqlite:///{Path(directory) / f'{next(numbers)}.db'}"

        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(
            OnSqlite, settings=settings(max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=checks)
        )
