"""Metrics that every process has: the interpreter, garbage collection and the lag of the event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, ProcessCollector, disable_created_metrics

_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


def process_registry() -> CollectorRegistry:
    """Return a registry of its own with the collectors of process, platform and garbage collection.

    Counters and histograms are exported without their `_created` series, which double what Prometheus has to keep and say nothing that a
    counter's reset doesn't. The client library knows that switch only for a whole process.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def loop_lag_histogram(prefix: str, registry: CollectorRegistry) -> Histogram:
    """Return the histogram `<prefix>_event_loop_lag_seconds`: by how much the event loop was late to wake a sleeper, in seconds."""
    return Histogram(
        f"{prefix}_event_loop_lag_seconds",
        "By how much the event loop was late to wake a sleeper.",
        buckets=_LAG_BUCKETS,
        registry=registry,
    )


@asynccontextmanager
async def observing_loop_lag(lag: Histogram, interval_seconds: float = 0.5) -> AsyncIterator[None]:
    """Sample the lag of the running loop into `lag` every `interval_seconds` while the context lasts."""
    loop = asyncio.get_running_loop()

    async def sample() -> None:
        while True:
            due = loop.time() + interval_seconds
            await asyncio.sleep(interval_seconds)
            lag.observe(max(0.0, loop.time() - due))

    task = asyncio.create_task(sample(), name="event-loop-lag")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
