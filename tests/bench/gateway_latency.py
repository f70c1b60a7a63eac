"""`gateway-latency`: what the gateway adds to the scripted parts of a reply, at 200 sessions, and at the 100 that a pod takes by default.

The clock starts when the caller's frame that completes the turn (`audio_end_ms` of `speech_stopped`) is sent and stops at the first audio
of the reply; what the scripted Mistral takes by its script is subtracted. The agreed silence before the end of a turn is not part of it.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.gateway_steady import percentile, sessions, steady
from tests.bench.line import Line, at_most

SESSIONS = 200
OF_A_POD = 100
GOAL_P50_MS = 10.0
GOAL_P99_MS = 30.0


def main() -> int:
    """Measure and print. Returns 0."""
    with tempfile.TemporaryDirectory() as folder:
        usual, many = (
            asyncio.run(steady(count, Path(folder))).added_ms for count in (min(OF_A_POD, sessions(SESSIONS)), sessions(SESSIONS))
        )
    Line("gateway-latency-100-p50", percentile(usual, 0.5), "ms").print()
    Line("gateway-latency-100-p99", percentile(usual, 0.99), "ms").print()
    at_most("gateway-latency-p50", percentile(many, 0.5), "ms", GOAL_P50_MS).print()
    at_most("gateway-latency-p99", percentile(many, 0.99), "ms", GOAL_P99_MS).print()
    return 0
