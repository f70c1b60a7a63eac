"""Tasks that outlive what began them, such as the last report of a session whose line is gone."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, Final

MOST: Final = 10_000

_log: Final = logging.getLogger(__name__)


class Leftovers:
    """Owns such tasks: at the end they have a while yet, then they are cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Begin a task, and return it. Beyond `MOST` at once it is given up."""
        if len(self._tasks) >= MOST:
            coroutine.close()
            _log.error("Too much is left to be done; something is given up.")
            return None
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A task broke.", exc_info=error)

    async def finish(self, within_seconds: float) -> None:
        """Wait for all of them and for what they begin, so long; then cancel the rest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                while self._tasks:
                    await asyncio.wait(tuple(self._tasks))
        late = tuple(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
