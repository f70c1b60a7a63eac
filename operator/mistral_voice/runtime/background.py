"""Tasks beside a process's work."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_log = logging.getLogger(__name__)


class Background:
    """Tasks that run as long as their process. `failure` says what broke; a process without its vital ones is not alive, and ends."""

    def __init__(self, process: str) -> None:
        self._process = process
        self.failure: str | None = None
        self._stopped: asyncio.Event | None = None

    def ends(self, stopped: asyncio.Event) -> None:
        """Let `stopped` be set when something breaks, for the process to end in order and be started anew, sooner than probes have it."""
        self._stopped = stopped
        if self.failure is not None:
            stopped.set()

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
            self.failure = f"The {self._process}'s {task.get_name()} broke."
            _log.error("%s", self.failure, exc_info=error)
            if self._stopped is not None:
                self._stopped.set()
