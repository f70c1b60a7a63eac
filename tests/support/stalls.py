"""How long a machine kept its processes waiting: what a promise of seconds may exceed on one that is busy."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

_TICK_SECONDS: Final = 0.05


@contextlib.contextmanager
def stalls() -> Iterator[Callable[[], float]]:
    """Watch while the body runs; yields what tells the seconds by which a thread that sleeps has woken too late, summed up."""
    ended = threading.Event()
    late = 0.0

    def watch() -> None:
        nonlocal late
        while not ended.is_set():
            begun = time.monotonic()
            time.sleep(_TICK_SECONDS)
            late += max(0.0, time.monotonic() - begun - 2 * _TICK_SECONDS)

    thread = threading.Thread(target=watch, name="stalls", daemon=True)
    thread.start()
    try:
        yield lambda: late
    finally:
        ended.set()
        thread.join()
