"""The clock that every delay of the simulator is measured with."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Monotonic time for delays, wall time for what the API tells (`created`, `expires_at`)."""

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def wall(self) -> datetime:
        """Return the present time, with time zone UTC."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return when `now()` has reached `moment`; at once if it has passed."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return the event loop's monotonic seconds."""
        return asyncio.get_running_loop().time()

    def wall(self) -> datetime:
        """Return the present time, with time zone UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: float) -> None:
        """Sleep until `moment`; a moment that has passed costs nothing."""
        remaining = moment - self.now()
        if remaining > 0:
            await asyncio.sleep(remaining)
