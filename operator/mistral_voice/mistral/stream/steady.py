"""Patience with a stream: what keeps a connection busy without saying anything doesn't prolong it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import TypeVar

from mistral_voice.mistral.stream.errors import FaultKind, StreamError

T = TypeVar("T")


class Patience:
    """Raises StreamError if what is waited for inside hasn't come after `seconds`; None waits for ever."""

    __slots__ = ("_timeout", "_what")

    def __init__(self, seconds: float | None, what: str) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._what = what

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_over = isinstance(error, TimeoutError)
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            is_over = True
        if is_over:
            raise StreamError(FaultKind.TIMED_OUT, f"{self._what} failed: Mistral sent nothing more in time.") from None


async def steady(pieces: AsyncGenerator[T, None], first_seconds: float, next_seconds: float, what: str) -> AsyncGenerator[T, None]:
    """Yield the pieces of a stream. Raises StreamError if the first, or the next one, doesn't come in time."""
    seconds = first_seconds
    async with aclosing(pieces):
        while True:
            try:
                async with Patience(seconds, what):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            yield piece
            seconds = next_seconds
