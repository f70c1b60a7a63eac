"""How many leases a second two replicas grant on PostgreSQL."""

import psycopg

from tests.bench.ledger_admission import measure
from tests.support.postgresql import postgresql

GOAL = 1500.0


def main() -> int:
    """Measure and print. Returns 0."""
    with postgresql() as server:

        def fresh(run: int) -> str:
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE bench{run}".encode())
            return f"{server}/bench{run}"

        measure("ledger-admission-postgresql", GOAL, 2, fresh)
    return 0
