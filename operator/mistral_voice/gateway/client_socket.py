"""The WebSocket of one client, and what its messages may cost."""

import asyncio
from typing import Any

from aiohttp import WSCloseCode, web
from aiohttp.abc import AbstractStreamWriter

from mistral_voice.gateway.client_frames import ClientFrames

PATIENCE_SECONDS = 5.0
"""A client that we don't read gets its pings excused so often."""


class ClientSocket(web.WebSocketResponse[bool]):
    """A WebSocket that may be left unread for longer than a ping may go unanswered.

    What it receives can be taken at once, through `frames`, which is there once it is prepared.
    """

    frames: ClientFrames

    def __init__(self, *, max_msg_size: int, **options: Any) -> None:
        super().__init__(max_msg_size=max_msg_size, **options)
        self._largest_message = max_msg_size

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Answer the handshake."""
        if request.transport is not None:
            self.frames = ClientFrames(request.transport)
        return await super().prepare(request)

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Close the connection. aiohttp itself does so when a message is too large, and would not say why."""
        if code == WSCloseCode.MESSAGE_TOO_BIG and not message:
            message = f"A message may have {self._largest_message} bytes; send long audio in several appends.".encode()
        return await super().close(code=code, message=message, drain=drain)

    def excuse(self) -> None:
        """The client can't be heard, since we don't read: that no pong comes means nothing."""
        if self.prepared and not self.closed:
            self._reset_heartbeat()  # aiohttp's own: it has no public way to put a ping off (`tests/unit/gateway/test_private_names.py`)

    async def leave_unread(self, seconds: float) -> None:
        """Wait, and let the client's messages wait on its side of the network."""
        while seconds > 0:
            pause = min(seconds, PATIENCE_SECONDS)
            await asyncio.sleep(pause)
            self.excuse()
            seconds -= pause
