"""Where a gateway stands between start and end: ready or not, accepting or not, and the drain."""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from mistral_voice.runtime.logs import fields

TURN_SECONDS = 25.0
"""After the drain's time-out each session may finish its turn; beyond this time it is cut off."""

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

    def drain(self) -> None:
        """Finish the turn, then close."""


class Lifecycle:
    """Knows the phase and the live sessions. Ready means: serving, and `missing()` finds nothing missing."""

    def __init__(self, missing: Callable[[], str | None]) -> None:
        self._missing = missing
        self.phase = Phase.STARTING
        self._sessions: set[Drainable] = set()
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
        if not self._sessions:
            self._empty.set()

    async def drain(self, accept_seconds: float, timeout_seconds: float) -> None:
        """End in order: not ready at once, accepting for a while yet, then refusing; sessions end by themselves or are asked to.

        Returns when no session is left, at the latest `TURN_SECONDS` after `timeout_seconds`.
        """
        started = asyncio.get_running_loop().time()
        self.phase = Phase.DRAINING
        _log.info("Draining.", extra=fields(sessions=self.session_count, timeout_seconds=timeout_seconds))
        await asyncio.sleep(min(accept_seconds, timeout_seconds))
        self.phase = Phase.REFUSING
        left = started + timeout_seconds - asyncio.get_running_loop().time()
        if await self._emptied_within(left):
            _log.info("Drained: all sessions ended by themselves.")
            return
        _log.info("The drain's time is over: sessions finish their turn.", extra=fields(sessions=self.session_count))
        for session in self.sessions:
            session.drain()
        if not await self._emptied_within(TURN_SECONDS):
            _log.warning("Sessions were cut off at the end of the drain.", extra=fields(sessions=self.session_count))

    async def _emptied_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._empty.wait()
        except TimeoutError:
            return not self._sessions
        return True
