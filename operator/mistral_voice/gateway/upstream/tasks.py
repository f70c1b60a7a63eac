"""How a session's streams report, and who owns their tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.inputs import Input
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.mistral.stream.errors import FaultKind, StreamError

Emit = Callable[[Input], None]
"""Hands an input to the session, at once."""
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task that the session's own task group awaits."""


class UpstreamObserver(Protocol):
    """Counts requests to Mistral and their errors, by kind."""

    def requested(self, kind: UpstreamKind, model: str = "") -> None:
        """A request was made. No model: the integration's own."""

    def failed(self, kind: UpstreamKind, error: StreamError, model: str = "") -> None:
        """A request failed."""

    def speech_socket(self, *, spare: bool) -> None:
        """A reply got its speech socket: a spare that stood open, or a new one."""


ATTEMPTS = 2
"""A request that failed for a passing reason, and of which nothing has reached the client, is made once more."""
RETRY_SECONDS = 0.25
"""The pause before it."""
LAST_WORDS_SECONDS = 1.0
"""What Mistral said before it closed a socket is read for so long once a write to it has failed."""


def fault_of(error: StreamError) -> Fault:
    """Return the fault that a session understands."""
    return Fault(error.kind, error.message)


def _found_it_closed(sender: asyncio.Task[None]) -> bool:
    error = None if sender.cancelled() else sender.exception()
    return isinstance(error, StreamError) and error.kind is FaultKind.DISCONNECTED


async def alongside(main: Coroutine[Any, Any, None], helper: Coroutine[Any, Any, None]) -> None:
    """Run `main` with `helper` beside it. When `main` ends, so does the helper; an error of either ends both and is raised.

    A helper that finds its socket closed may know it sooner than `main`, which has yet to read what Mistral said last: that is waited for.
    """
    tasks = [asyncio.create_task(main), asyncio.create_task(helper)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0] not in done and _found_it_closed(tasks[1]):
            done, _ = await asyncio.wait(tasks[:1], timeout=LAST_WORDS_SECONDS)
        if tasks[0] not in done:
            tasks[1].result()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
