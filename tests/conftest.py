"""Settings of all tests."""

import os
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

LONGEST: Final = (
    "tests/api/broker/test_hard_times.py",
    "tests/api/test_generated.py",
    "tests/api/test_managed.py",
    "tests/api/test_operator.py",
    "tests/api/test_operator_restart.py",
    "tests/api/test_scaling_and_exposure.py",
    "tests/api/test_unusable.py",
    "tests/browser/test_console.py",
    "tests/browser/test_console_access.py",
    "tests/chart/test_operator_as_installed.py",
    "tests/fuzz/test_any_message.py",
    "tests/unit/gateway/test_canary.py",
    "tests/unit/gateway/test_interruptions.py",
)
"""Files that take longest. They begin, so that no process is left alone with one at the end."""

# How long an example takes says something about the machine, not about the code.
# The same examples in every run, for a run says what a change did; `RANDOM_EXAMPLES=1` looks for new ones.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="RANDOM_EXAMPLES" not in os.environ
)
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file all stays in order."""
    longest = {config.rootpath / name for name in LONGEST}
    items.sort(key=lambda item: Path(item.path) not in longest)
