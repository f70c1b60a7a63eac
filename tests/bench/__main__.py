"""`python -m tests.bench [NAME …]`: runs benchmarks; each prints JSON lines on standard output and exits 0 if it measured.

A line is `{"bench", "value", "unit", "goal", "peer", "ratio", "runs"}`; a `ratio` above 1 means better than the peer or the goal.
"""

import importlib
import sys

BENCHMARKS = {
    "operator-apply": "tests.bench.operator_apply",
    "operator-idle": "tests.bench.operator_idle",
    "operator-restart": "tests.bench.operator_restart",
    "gateway-start": "tests.bench.gateway_start",
    "gateway-density": "tests.bench.gateway_density",
    "gateway-latency": "tests.bench.gateway_latency",
    "gateway-bargein": "tests.bench.gateway_bargein",
    "gateway-turn": "tests.bench.gateway_turn",
    "broker-overhead": "tests.bench.broker_overhead",
    "gateway-soak": "tests.bench.gateway_soak",
    "ledger-admission-sqlite": "tests.bench.ledger_admission_sqlite",
    "ledger-admission-postgresql": "tests.bench.ledger_admission_postgresql",
    "usage-scale": "tests.bench.usage_scale",
}
ON_DEMAND = ("gateway-soak",)
"""What runs only when it is named."""


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"No benchmark is called {unknown[0]!r}. There are: {', '.join(BENCHMARKS)}.\n")
        return 2
    status = 0
    for name in names or [name for name in BENCHMARKS if name not in ON_DEMAND]:
        sys.stderr.write(f"{name} …\n")
        status |= importlib.import_module(BENCHMARKS[name]).main()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
