"""The work queue's memory, without tasks or clock: which keys are ready, delayed or under way."""

import heapq
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_FRESH_IN_A_ROW: Final = 7


@dataclass(slots=True)
class _Ready:
    since: float
    low: bool


class PendingKeys(Generic[Key]):
    """Keys that want to be processed, each at most once at a time and at most once in line.

    Times are seconds of one monotonic clock, which the caller reads. Low keys come after the others, but one in eight at least.
    """

    def __init__(self) -> None:
        self._ready: dict[Key, _Ready] = {}
        self._lines: dict[bool, deque[Key]] = {False: deque(), True: deque()}
        self._low_ready = 0
        self._fresh_in_a_row = 0
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._sequence = 0
        self._started: dict[Key, float] = {}
        self._again: dict[Key, _Ready] = {}

    def __len__(self) -> int:
        """Return how many keys are ready and wait for a worker."""
        return len(self._ready)

    @property
    def started(self) -> dict[Key, float]:
        """Return the keys under way, and since when."""
        return self._started

    def add(self, key: Key, now: float, *, low: bool = False) -> bool:
        """Make a key ready, or note that one under way has to be processed once more. Return whether that was news."""
        if key in self._started:
            known = self._again.get(key)
            if known is None:
                self._again[key] = _Ready(now, low)
            else:
                known.low = known.low and low
            return known is None
        known = self._ready.get(key)
        if known is None:
            self._ready[key] = _Ready(now, low)
            self._low_ready += low
        elif known.low and not low:
            known.low = False
            self._low_ready -= 1
        else:
            return False
        self._lines[low].append(key)
        return known is None

    def add_after(self, key: Key, due: float) -> None:
        """Make a key ready at a time to come. Of several such times the earliest holds."""
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, key))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(due, sequence, key) for due, sequence, key in self._heap if self._due.get(key) == due]
            heapq.heapify(self._heap)

    def next_due(self) -> float | None:
        """Return when the next delayed key becomes ready."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def promote(self, now: float) -> int:
        """Make the delayed keys ready whose time has come. Return how many that were."""
        count = 0
        while (due := self.next_due()) is not None and due <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            count += self.add(key, due)
        return count

    def take(self, now: float) -> tuple[Key, float] | None:
        """Begin with the next ready key: return it and how long it has waited.

        A delay of this key that is still pending is dropped: the pass that begins says itself when it wants to come again.
        """
        if not self._ready:
            return None
        take_low = self._low_ready == len(self._ready) or (self._low_ready > 0 and self._fresh_in_a_row >= _FRESH_IN_A_ROW)
        self._fresh_in_a_row = 0 if take_low else self._fresh_in_a_row + 1
        line = self._lines[take_low]
        while True:
            key = line.popleft()
            ready = self._ready.get(key)
            # A key that moved to the other line, or was taken since, leaves its old place behind.
            if ready is not None and ready.low == take_low:
                break
        del self._ready[key]
        self._low_ready -= take_low
        self._due.pop(key, None)
        self._started[key] = now
        return key, now - ready.since

    def done(self, key: Key) -> None:
        """End with a key. If it was added in the meantime it is ready again."""
        del self._started[key]
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, again.since, low=again.low)
