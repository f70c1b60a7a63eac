"""`gateway-bargein`: how soon the assistant is silent when the caller speaks.

Callers speak into replies of ten seconds, somewhere in their middle. The clock starts when the first voiced frame is sent and stops with
the last audio that the caller gets of that reply; what the client has of it by then is its own to stop.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from tests.bench.gateway_place import gateway, simulated_mistral
from tests.bench.gateway_steady import percentile, script, seconds, sessions
from tests.bench.line import Line, at_most, progress
from tests.bench.load.callers import calling
from tests.bench.load.clips import make_clips
from tests.bench.load.plan import Behaviour, Report

SESSIONS = 50
GOAL_P99_MS = 100.0
_LONG_REPLY = "This is a long answer that goes on and on, sentence after sentence, until it is interrupted. " * 3


def main() -> int:
    """Measure and print. Returns 0."""
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(_measure(sessions(SESSIONS), Path(folder)))
    silent_after = sorted(report.bargein_ms)
    progress(f"{len(silent_after)} interruptions, {report.unanswered} utterances without an answer")
    for error in report.errors[:5]:
        progress(f"callers: {error}")
    Line("gateway-bargein-p50", percentile(silent_after, 0.5), "ms").print()
    at_most("gateway-bargein-p99", percentile(silent_after, 0.99), "ms", GOAL_P99_MS).print()
    return 0


async def _measure(count: int, folder: Path) -> Report:
    long_winded = {**script(), "chat": {"replies": [{"text": _LONG_REPLY, "first_token_ms": 150, "token_ms": 5}]}}
    async with AsyncExitStack() as stack:
        mistral = await stack.enter_async_context(simulated_mistral(long_winded, folder))
        server = await stack.enter_async_context(gateway(mistral, folder))
        plan = server.plan(callers=count, clips=make_clips(folder), behaviour=Behaviour.INTERRUPT)
        callers = await stack.enter_async_context(calling(plan, folder))
        await callers.measure()
        await asyncio.sleep(seconds(60.0))
        return await callers.report()
