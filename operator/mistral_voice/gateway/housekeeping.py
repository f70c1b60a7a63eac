"""What a gateway does every moment beside its sessions: it watches its own event loop, and files that change."""

import asyncio
import gc
import logging
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from mistral_voice.gateway.lifecycle import Lifecycle
from mistral_voice.gateway.metrics import GatewayMetrics
from mistral_voice.gateway.watched_file import WatchedFile

EVERY_SECONDS = 0.25
TLS_CERTIFICATE = "tls.crt"
TLS_KEY = "tls.key"

_log = logging.getLogger(__name__)


class ServedCertificate:
    """The certificate of the client port; new connections get the newest. Raises OSError if there is none to begin with."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = (WatchedFile(directory / TLS_CERTIFICATE), WatchedFile(directory / TLS_KEY))
        self._seen = self._contents()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(directory / TLS_CERTIFICATE, directory / TLS_KEY)

    def refresh(self) -> None:
        """Load the files again if they have changed; a pair that doesn't fit leaves the last good one in force."""
        contents = self._contents()
        if contents == self._seen:
            return
        self._seen = contents
        try:
            self.context.load_cert_chain(self._directory / TLS_CERTIFICATE, self._directory / TLS_KEY)
        except OSError as error:
            _log.warning("The new TLS certificate can't be used, the former one stays in force: %s", error)
        else:
            _log.info("The TLS certificate was replaced.")

    def _contents(self) -> tuple[bytes | None, ...]:
        return tuple(file.read() for file in self._files)


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
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        metrics.loop_lag.observe(max(0.0, loop.time() - due))
        pauses.report(metrics)
        metrics.ready.set(lifecycle.not_ready_because() is None)
        metrics.draining.set(lifecycle.is_draining)
        if certificate is not None:
            certificate.refresh()


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


class Background:
    """Tasks that run as long as the gateway. `failure` says what broke; a gateway without its vital ones is not alive."""

    def __init__(self) -> None:
        self.failure: str | None = None

    @asynccontextmanager
    async def running(self, **coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Run the named coroutines while the context lasts."""
        tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = f"The gateway's {task.get_name()} broke."
            _log.error("%s", self.failure, exc_info=error)
