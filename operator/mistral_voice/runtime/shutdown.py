"""SIGTERM and SIGINT as an event that a process waits for."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM or SIGINT sets while the context lasts. Call it inside a running loop."""
    stopped = asyncio.Event()
    take_stop_signals(stopped)
    try:
        yield stopped
    finally:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)


def take_stop_signals(stopped: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set `stopped`, whatever handled them before; for use when a library has taken them for itself."""
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
