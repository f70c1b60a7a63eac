"""Bounds on what one tenant may ask of a broker, so that the others are served: lines in a time, and memory for bodies."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

LINES_A_SECOND: Final = 10.0
LINES_AT_ONCE: Final = 100
"""So many lines may be opened in one burst, and `LINES_A_SECOND` from then on, by each namespace and by each address."""
KEPT: Final = 20_000


class _Bucket(Struct):
    left: float
    at: float


class Rate:
    """A token bucket for each name. Names that were not heard of for longest are forgotten first. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float], a_second: float = LINES_A_SECOND, at_once: int = LINES_AT_ONCE, kept: int = KEPT) -> None:
        self._now = now
        self._a_second = a_second
        self._at_once = at_once
        self._kept = kept
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def allows(self, name: str) -> bool:
        """Tell whether one more is allowed now, and count it if so."""
        now = self._now()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self._at_once, now)
            if len(self._buckets) > self._kept:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        bucket.left = min(self._at_once, bucket.left + (now - bucket.at) * self._a_second)
        bucket.at = now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True


class Room:
    """Bytes of bodies that may be held at the same time by all sessions together, and by those of one namespace."""

    def __init__(self, size: int, of_namespace: int) -> None:
        self._left = size
        self._of_namespace = of_namespace
        self._held: Counter[str] = Counter()

    @contextmanager
    def taken(self, namespace: str, size: int) -> Iterator[bool]:
        """Hold so many bytes for a namespace while the context lasts; yields whether there was room."""
        fits = size <= self._left and self._held[namespace] + size <= self._of_namespace
        if fits:
            self._left -= size
            self._held[namespace] += size
        try:
            yield fits
        finally:
            if fits:
                self._left += size
                self._held[namespace] -= size
            if not self._held[namespace]:
                del self._held[namespace]
