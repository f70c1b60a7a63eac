"""The clocks that a process goes by."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """`monotonic` returns seconds for measuring; `wall` seconds since 1970, for what others are told."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    @classmethod
    def steady(cls) -> "Clock":
        """Return clocks of which `wall` is right at first and then goes on evenly, even while somebody sets the machine's."""
        begin = time.time() - time.monotonic()
        return cls(wall=lambda: begin + time.monotonic())

    def now_ms(self) -> float:
        """Return the milliseconds that a gateway's sessions and limits count."""
        return self.monotonic() * 1000
