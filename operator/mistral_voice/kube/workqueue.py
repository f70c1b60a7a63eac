"""A work queue of keys: each is processed by one worker at a time, errors come again with growing delays."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Protocol

from mistral_voice.kube.errors import KubeError
from mistral_voice.kube.pending_keys import Key, PendingKeys

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from `base_seconds` to `max_seconds`, each shortened by up to `jitter` of itself."""

    base_seconds: float = 0.05
    max_seconds: float = 60.0
    jitter: float = 0.2

    def delay_seconds(self, failures: int, chance: float) -> float:
        """Return the delay after so many failures in a row (1 or more); `chance` is drawn evenly from 0 to 1."""
        doublings = min(failures - 1, 63)
        return min(self.base_seconds * 2.0**doublings, self.max_seconds) * (1 - self.jitter * chance)


class PassResult(StrEnum):
    """How the processing of a key ended."""

    SUCCESS = "success"
    REQUEUE = "requeue"
    ERROR = "error"


class QueueObserver(Protocol):
    """Hears what controller-runtime's work queue metrics count."""

    def added(self) -> None:
        """A key became ready that was not."""

    def retried(self) -> None:
        """A key comes again after an error."""

    def taken(self, waited_seconds: float) -> None:
        """A worker began with a key that had been ready for so long."""

    def finished(self, worked_seconds: float, result: PassResult) -> None:
        """A worker ended with a key."""


class _Unobserved:
    def added(self) -> None: ...

    def retried(self) -> None: ...

    def taken(self, waited_seconds: float) -> None: ...

    def finished(self, worked_seconds: float, result: PassResult) -> None: ...


class WorkQueue(Generic[Key]):
    """Keys, a fixed number of workers, and the rules between them.

    A key is never processed twice at the same time; added while it is, it is processed once more afterwards. Use it within one event loop.
    """

    def __init__(
        self,
        *,
        workers: int,
        backoff: Backoff | None = None,
        observer: QueueObserver | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.max_workers = workers
        self._backoff = backoff or Backoff()
        self._observer = observer or _Unobserved()
        self._clock = clock
        self._chance = chance
        self._pending: PendingKeys[Key] = PendingKeys()
        self._failures: dict[Key, int] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = float("inf")
        self._stopping = False

    def __len__(self) -> int:
        """Return how many keys wait for a worker."""
        return len(self._pending)

    @property
    def active_workers(self) -> int:
        """Return how many keys are being processed."""
        return len(self._pending.started)

    def unfinished_work_seconds(self) -> float:
        """Return for how long all keys together have been under way."""
        now = self._clock()
        return sum(now - since for since in self._pending.started.values())

    def longest_running_seconds(self) -> float:
        """Return for how long the slowest key has been under way."""
        return max((self._clock() - since for since in self._pending.started.values()), default=0.0)

    def add(self, key: Key, *, low: bool = False) -> None:
        """Have a key processed as soon as there is a worker. `low` is for bulk work that must not delay what just happened."""
        if self._pending.add(key, self._clock(), low=low):
            self._observer.added()
            self._wake()

    def add_after(self, key: Key, seconds: float) -> None:
        """Have a key processed after a while. If it is already due earlier, that stays so."""
        if seconds <= 0:
            self.add(key)
            return
        self._pending.add_after(key, self._clock() + seconds)
        self._set_timer()

    def forget(self, key: Key) -> None:
        """Forget the errors of a key: its next one waits as shortly as a first."""
        self._failures.pop(key, None)

    def stop(self) -> None:
        """Let the passes under way end and begin no other. `run` returns after that."""
        self._stopping = True
        self._wake_all()

    async def run(self, process: Callable[[Key], Awaitable[float | None]]) -> None:
        """Process keys until `stop`.

        `process` returns after how many seconds it wants to see the key again, or None. An exception of it is logged and tried again with
        back-off; cancellation passes and ends all workers.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.max_workers):
                    group.create_task(self._work(process), name=f"worker {number}")
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer, self._timer_due = None, float("inf")

    async def _work(self, process: Callable[[Key], Awaitable[float | None]]) -> None:
        while not self._stopping:
            taken = self._pending.take(self._clock())
            if taken is None:
                await self._wait()
                continue
            key, waited_seconds = taken
            if self._pending:
                self._wake()
            self._observer.taken(waited_seconds)
            await self._process(key, process)

    async def _process(self, key: Key, process: Callable[[Key], Awaitable[float | None]]) -> None:
        started = self._clock()
        result = PassResult.ERROR
        try:
            again_seconds = await process(key)
        except KubeError as error:
            _log.warning("Processing %s failed; it is tried again: %s", key, error)
            self._retry(key)
        except Exception:  # noqa: BLE001 - whatever goes wrong with one key, the others go on and this one is tried again
            _log.warning("Processing %s failed; it is tried again.", key, exc_info=True)
            self._retry(key)
        else:
            self.forget(key)
            result = PassResult.SUCCESS
            if again_seconds is not None:
                result = PassResult.REQUEUE
                self.add_after(key, again_seconds)
        finally:
            self._pending.done(key)
            self._observer.finished(self._clock() - started, result)

    def _retry(self, key: Key) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._observer.retried()
        self.add_after(key, self._backoff.delay_seconds(failures, self._chance()))

    async def _wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._idle.append(future)
        try:
            await future
        finally:
            if future.cancelled() and future in self._idle:
                self._idle.remove(future)

    def _wake(self) -> None:
        while self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._idle:
            self._wake()

    def _set_timer(self) -> None:
        due = self._pending.next_due()
        if due is None or due >= self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self._clock()), self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_due = None, float("inf")
        for _ in range(self._pending.promote(self._clock())):
            self._observer.added()
            self._wake()
        self._set_timer()
