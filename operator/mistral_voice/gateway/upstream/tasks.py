"""How a session's streams report, and who owns their tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.inputs import Input
from mistral_voice.mistral.stream.errors import StreamError

Emit = Callable[[Input], None]
"""Hands an input to the session, at once."""
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task that the session's own task group awaits."""


class UpstreamObserver(Protocol):
    """Counts requests to Mistral and their errors, by `chat`, `transcription` or `speech`."""

    def requested(self, kind: str, model: str = "") -> None:
        """A request was made. No model: the integration's own."""

    def failed(self, kind: str, error: StreamError, model: str = "") -> None:
        """A request failed."""

    def speech_socket(self, *, spare: bool) -> None:
        """A reply got its speech socket: a spare that stood open, or a new one."""


ATTEMPTS = 2
"""A request that failed for a passing reason, and of which nothing has reached the client, is made once more."""
RETRY_SECONDS = 0.25
"""The pause before it."""


def fault_of(error: StreamError) -> Fault:
    """Return the fault that a session understands."""
    return Fault(error.kind, error.message)


async def alongside(main: Coroutine[Any, Any, None], helper: Coroutine[Any, Any, None]) -> None:
    """Run `main` with `helper` beside it. When `main` ends, so does the helper; an error of either ends both and is raised."""
    tasks = [asyncio.create_task(main), asyncio.create_task(helper)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0] not in done:
            tasks[1].result()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
