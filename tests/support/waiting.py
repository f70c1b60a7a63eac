"""Waiting for conditions instead of sleeping for durations."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, overload

from mistral_voice.kube.errors import Unreachable

WAIT_SECONDS: Final = 90.0
"""How long to wait for what takes a second or two: a busy machine may be that much slower, and only a failure takes as long."""
T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], what: str, timeout_seconds: float = WAIT_SECONDS, every_seconds: float = 0.02
) -> T: ...


@overload
async def eventually(condition: Callable[[], T], what: str, timeout_seconds: float = WAIT_SECONDS, every_seconds: float = 0.02) -> T: ...


async def eventually(
    condition: Callable[[], T | Awaitable[T]], what: str, timeout_seconds: float = WAIT_SECONDS, every_seconds: float = 0.02
) -> T:
    """Return the first truthy result of `condition`, or fail with what was waited for and what was seen last.

    An API server that is too busy to answer is asked again.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        seen: T | Unreachable
        try:
            answer = condition()
            seen = await answer if inspect.isawaitable(answer) else answer
            if seen:
                return seen
        except Unreachable as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout_seconds:g} s for {what}; last seen: {seen!r}")
        await asyncio.sleep(every_seconds)
