"""What a benchmark prints: one JSON object a line."""

import json
import os
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Line:
    """One figure. `ratio` above 1 means better than the peer, or than the goal where there is no peer; None where there is neither."""

    bench: str
    value: float
    unit: str
    goal: str | None = None
    peer: float | None = None
    ratio: float | None = None
    runs: int = 1

    def print(self) -> None:
        """Write the line to standard output."""
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}
        sys.stdout.write(f"{json.dumps(rounded)}\n")
        sys.stdout.flush()


def progress(text: str) -> None:
    """Tell the person who waits what is being done."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def size(default: int) -> int:
    """Return how many integrations to measure with: `BENCH_SIZE`, for development, or the size that the goal names."""
    return int(os.environ.get("BENCH_SIZE", default))


def runs(default: int) -> int:
    """Return how often to measure: `BENCH_RUNS` or the default."""
    return int(os.environ.get("BENCH_RUNS", default))


def at_most(bench: str, value: float, unit: str, limit: float, *, runs: int = 1) -> Line:
    """Return the line of a figure that shall not exceed a limit."""
    return Line(bench, value, unit, goal=f"<= {limit:g}", ratio=limit / value if value else None, runs=runs)
