"""Patience with a stream: what keeps a connection busy without saying anything doesn't prolong it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from mistral_voice.mistral.stream.errors import FaultKind, StreamError

T = TypeVar("T")


@asynccontextmanager
async def within(seconds: float | None, what: str) -> AsyncIterator[None]:
    """Raise StreamError if what is waited for inside hasn't come after `seconds`; None waits for ever."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StreamError(FaultKind.TIMED_OUT, f"{what} failed: Mistral sent nothing more in time.") from None


async def steady(pieces: AsyncGenerator[T, None], first_seconds: float, next_seconds: float, what: str) -> AsyncGenerator[T, None]:
    """Yield the pieces of a stream. Raises StreamError if the first, or the next one, doesn't come in time."""
    seconds = first_seconds
    async with aclosing(pieces):
        while True:
            try:
                async with within(seconds, what):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            yield piece
            seconds = next_seconds
