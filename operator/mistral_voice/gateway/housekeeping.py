"""What a gateway does every moment: it watches its own event loop and files that change, and clears ended sessions away."""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from mistral_voice.gateway.lifecycle import Lifecycle
from mistral_voice.gateway.metrics import GatewayMetrics
from mistral_voice.runtime.certificate import ServedCertificate
from mistral_voice.runtime.freed_memory import give_back

EVERY_SECONDS = 0.25
ENDED_AT_ONCE = 16
"""Ended sessions that are cleared away together."""
GIVE_BACK_SECONDS = 60.0
"""How often, at most, the memory that they leave is given back to the system."""


async def keep_house(metrics: GatewayMetrics, lifecycle: Lifecycle, certificate: ServedCertificate | None) -> None:
    """Run until cancelled."""
    loop = asyncio.get_running_loop()
    with observed_pauses() as pauses:
        await _keep_house(metrics, lifecycle, certificate, pauses, loop)


async def _keep_house(
    metrics: GatewayMetrics,
    lifecycle: Lifecycle,
    certificate: ServedCertificate | None,
    pauses: "Pauses",
    loop: asyncio.AbstractEventLoop,
) -> None:
    cleared = 0
    give_back_at = loop.time() + GIVE_BACK_SECONDS
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        metrics.loop_lag.observe(max(0.0, loop.time() - due))
        pauses.report(metrics)
        metrics.ready.set(lifecycle.not_ready_because() is None)
        metrics.draining.set(lifecycle.is_draining)
        if certificate is not None:
            certificate.refresh()
        ended = lifecycle.ended - cleared
        if ended >= ENDED_AT_ONCE or (ended and not lifecycle.session_count):
            # A session's parts know each other, so only the collector frees them; by itself it would do so once in hours.
            gc.collect()
            cleared = lifecycle.ended
            if loop.time() >= give_back_at:
                give_back()
                give_back_at = loop.time() + GIVE_BACK_SECONDS


class Pauses:
    """How long collections of garbage took. Noted in the middle of anything, so it only takes the time, and reports it later."""

    def __init__(self) -> None:
        self._noted: deque[tuple[int, float]] = deque(maxlen=1000)
        self._began = 0.0

    def note(self, phase: str, info: dict[str, int]) -> None:
        """The collector begins or ends."""
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._noted.append((info["generation"], time.perf_counter() - self._began))

    def report(self, metrics: GatewayMetrics) -> None:
        """Hand over what was noted."""
        while self._noted:
            metrics.gc_paused(*self._noted.popleft())


@contextmanager
def observed_pauses() -> Iterator[Pauses]:
    """Note the collector's pauses while the context lasts."""
    pauses = Pauses()
    gc.callbacks.append(pauses.note)
    try:
        yield pauses
    finally:
        gc.callbacks.remove(pauses.note)
