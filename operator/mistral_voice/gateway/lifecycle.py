"""Where a gateway stands between start and end: ready or not, accepting or not, and the drain."""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol

from mistral_voice.runtime.logs import fields

TURN_SECONDS = 20.0
"""After the drain's time-out each session may finish its turn within this time."""
CLOSING_SECONDS = 5.0
"""Beyond that, sessions have this time to send their last messages and close; then they are cut off."""
SPARE_SECONDS = 2.0
"""The process means to be gone so long before the node kills it."""

_log = logging.getLogger(__name__)


class Phase(Enum):
    """The phases, in order."""

    STARTING = auto()
    SERVING = auto()
    DRAINING = auto()
    REFUSING = auto()

    @property
    def accepts(self) -> bool:
        """Whether new sessions are let in."""
        return self in (Phase.SERVING, Phase.DRAINING)


class Drainable(Protocol):
    """A live session that can be asked to finish its turn and end."""

    def drain(self, within_seconds: float) -> None:
        """Finish the turn within this time, then close."""


class DrainTimes(NamedTuple):
    """A drain in seconds, each counted from the one before: accepting yet, waiting for sessions, letting them finish, closing."""

    accepting: float
    waiting: float
    finishing: float
    closing: float


def drain_times(accept_seconds: float, timeout_seconds: float, node_grace_seconds: float | None) -> DrainTimes:
    """Return how a drain spends its time. A node that grants less takes it from the waiting first, then from the finishing of turns."""
    closing = CLOSING_SECONDS
    if node_grace_seconds is not None:
        left = max(0.0, node_grace_seconds - SPARE_SECONDS)
        closing = min(closing, left / 3)
        finishing = min(TURN_SECONDS, (left - closing) * 0.8)
        timeout_seconds = min(timeout_seconds, left - closing - finishing)
    else:
        finishing = TURN_SECONDS
    accepting = min(accept_seconds, timeout_seconds)
    return DrainTimes(accepting, timeout_seconds - accepting, finishing, closing)


class Lifecycle:
    """Knows the phase and the live sessions. Ready means: serving, and `missing()` finds nothing missing."""

    def __init__(self, missing: Callable[[], str | None]) -> None:
        self._missing = missing
        self.phase = Phase.STARTING
        self._sessions: set[Drainable] = set()
        self.ended = 0
        """Sessions that have ended."""
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def session_count(self) -> int:
        """Live sessions."""
        return len(self._sessions)

    @property
    def sessions(self) -> tuple[Drainable, ...]:
        """The live sessions."""
        return tuple(self._sessions)

    @property
    def is_draining(self) -> bool:
        """Whether the end has begun."""
        return self.phase in (Phase.DRAINING, Phase.REFUSING)

    def not_ready_because(self) -> str | None:
        """Return None when ready, else what is missing. Mistral's state plays no part in it."""
        if self.phase is Phase.STARTING:
            return "The gateway is starting."
        if self.phase is not Phase.SERVING:
            return "The gateway is draining."
        return self._missing()

    def add(self, session: Drainable) -> None:
        """A session begins."""
        self._sessions.add(session)
        self._empty.clear()

    def remove(self, session: Drainable) -> None:
        """A session has ended."""
        self._sessions.discard(session)
        self.ended += 1
        if not self._sessions:
            self._empty.set()

    async def drain(self, times: DrainTimes) -> None:
        """End in order: not ready at once, accepting for a while yet, then refusing; sessions end by themselves or are asked to.

        Returns when no session is left, at the latest after the sum of `times`.
        """
        self.phase = Phase.DRAINING
        _log.info("Draining.", extra=fields(sessions=self.session_count, seconds=round(sum(times), 1)))
        await asyncio.sleep(times.accepting)
        self.phase = Phase.REFUSING
        if await self._emptied_within(times.waiting):
            _log.info("Drained: all sessions ended by themselves.")
            return
        _log.info("The drain's time is over: sessions finish their turn.", extra=fields(sessions=self.session_count))
        for session in tuple(self._sessions):
            session.drain(times.finishing)
        if not await self._emptied_within(times.finishing + times.closing):
            _log.warning("Sessions were cut off at the end of the drain.", extra=fields(sessions=self.session_count))

    async def _emptied_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._empty.wait()
        except TimeoutError:
            return not self._sessions
        return True
