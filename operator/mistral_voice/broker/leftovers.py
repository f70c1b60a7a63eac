"""Tasks that outlive what began them, such as the last report of a session whose line is gone."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

MOST: Final = 10_000

_log: Final = logging.getLogger(__name__)


class Leftovers:
    """Owns such tasks: at the end they have a while yet, then they are cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Begin a task. Beyond `MOST` at once it is given up."""
        if len(self._tasks) >= MOST:
            coroutine.close()
            _log.error("Too much is left to be done; something is given up.")
            return
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A task broke.", exc_info=error)

    async def finish(self, within_seconds: float) -> None:
        """Wait for all of them, so long; then cancel the rest."""
        tasks = tuple(self._tasks)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
