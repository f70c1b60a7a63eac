"""A clock that stands still until somebody waits for it: delays cost no time and are exact."""

import asyncio
from datetime import UTC, datetime, timedelta


class VirtualClock:
    """Time goes on only by waiting for it. It serves one waiter at a time."""

    def __init__(self) -> None:
        self._now = 1_000.0

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._now

    def wall(self) -> datetime:
        """Return a time of day that follows `now`."""
        return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=self._now - 1_000.0)

    async def sleep_until(self, moment: float) -> None:
        """Let the time be `moment`."""
        self._now = max(self._now, moment)
        await asyncio.sleep(0)
