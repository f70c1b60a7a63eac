"""Measuring how many leases a second the ledger grants, and how long each takes.

The database, the replicas and those who ask share the machine's cores; each replica has 64 requests under way at a time, of 20 namespaces.
"""

import statistics
from collections.abc import Callable

from tests.bench.line import Line, progress, runs, size
from tests.support.ledger_replicas import ask_at_once

SESSIONS = 5_000


def measure(bench: str, goal: float, replicas: int, fresh: Callable[[int], str]) -> None:
    """Measure with that many replicas, each time on a fresh database, and print."""
    count, times = size(SESSIONS), runs(3)
    rates, slow = [], []
    for run in range(times):
        answers = ask_at_once(fresh(run), replicas, count // replicas, "unlimited")
        granted = sum(len(answer["granted"]) for answer in answers)
        assert granted == count // replicas * replicas, answers
        rates.append(granted / max(answer["seconds"] for answer in answers))
        took = sorted(value for answer in answers for value in answer["took"])
        slow.append(took[int(len(took) * 0.99)])
        progress(f"{bench}: {rates[-1]:.0f} leases a second, p99 {slow[-1]:.0f} ms")
    rate = statistics.median(rates)
    Line(bench, rate, "leases/s", goal=f">= {goal:g}", ratio=rate / goal, runs=times).print()
    Line(f"{bench}-p99", statistics.median(slow), "ms", runs=times).print()
