"""An event loop for tests in real time whose seconds cost nothing, and whose outcome doesn't depend on how busy the machine is."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import pytest

T = TypeVar("T")
ON_ITS_WAY_SECONDS: Final = 0.001
"""What one socket of this process sends to another is there at once, or after a moment in which the kernel does something else."""
ROUND_SECONDS: Final = 1e-6
"""What a round of the loop takes: whoever sleeps for less than a float can tell would sleep for ever if it took nothing."""


class LeapingLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while anything is to be done, in threads too, and else leaps to the next moment that somebody waits for.

    All that the tasks talk to has to be in this process: for another the clock does not wait.
    """

    def __init__(self) -> None:
        self._now = 1_000.0
        self._in_threads = 0
        super().__init__(_Leaps(self._leap, lambda: self._in_threads > 0))

    def time(self) -> float:
        """Return the seconds of this loop."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        """Run in a thread; the clock waits for it."""
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, _: "asyncio.Future[Any]") -> None:
        self._in_threads -= 1

    def _leap(self, seconds: float) -> None:
        self._now += seconds


class _Leaps(selectors.DefaultSelector):
    """Waits for sockets as long as it takes, and for the time not at all."""

    def __init__(self, leap: Callable[[float], None], is_busy: Callable[[], bool]) -> None:
        super().__init__()
        self._leap = leap
        self._is_busy = is_busy

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, the time for which it would have been waited has gone by."""
        self._leap(ROUND_SECONDS)
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self._is_busy():
            return super().select(None)
        found = super().select(ON_ITS_WAY_SECONDS)
        if not found:
            self._leap(timeout)
        return found


def loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one loop of a test: this one, unless it bears the mark `in_real_time`."""
    return {"real": asyncio.new_event_loop} if item.get_closest_marker("in_real_time") else {"leaping": LeapingLoop}


def run_leaping(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop of its own."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(main)
