"""What goes to a client: a bounded queue of messages, written by one task."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from mistral_voice.gateway.session.errors import GatewayError

MOST_BYTES = 16 * 1024 * 1024
"""Messages that wait for a slow client; some four minutes of PCM. Beyond it the client is cut off."""


class SlowConsumerError(GatewayError):
    """The client does not read what it is sent."""


class Outbound:
    """Messages in order. `put` never waits; `run` writes until `finish` was called and all is written.

    `taken_bytes` are those of all messages that were ever put.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], most_bytes: int = MOST_BYTES) -> None:
        self._write = write
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self.taken_bytes = 0
        self._finished = False
        self._changed = asyncio.Event()

    def put(self, message: bytes) -> None:
        """Add a message. Raises SlowConsumerError if too much waits already."""
        if self._bytes + len(message) > self._most_bytes:
            raise SlowConsumerError(f"The client has left {self._bytes} bytes unread.")
        self._waiting.append(message)
        self._bytes += len(message)
        self.taken_bytes += len(message)
        self._changed.set()

    def finish(self) -> None:
        """No more messages come."""
        self._finished = True
        self._changed.set()

    async def run(self) -> None:
        """Write messages until finished."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                await self._write(message)
                self._bytes -= len(message)
            if self._finished:
                return
            self._changed.clear()
            await self._changed.wait()
