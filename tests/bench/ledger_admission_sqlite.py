"""How many leases a second one replica grants on SQLite."""

import tempfile
from pathlib import Path

from tests.bench.ledger_admission import measure

GOAL = 500.0


def main() -> int:
    """Measure and print. Returns 0."""
    with tempfile.TemporaryDirectory() as directory:
        measure("ledger-admission-sqlite", GOAL, 1, lambda run: f"sqlite:///{Path(directory) / f'{run}.db'}")
    return 0
