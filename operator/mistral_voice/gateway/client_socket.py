"""The WebSocket of one client, and what its messages may cost."""

import asyncio

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from mistral_voice.gateway.client_frames import ClientFrames

PATIENCE_SECONDS = 5.0
"""A client that we don't read gets its pings excused so often."""


class ClientSocket(web.WebSocketResponse[bool]):
    """A WebSocket that may be left unread for longer than a ping may go unanswered.

    What it receives can be taken at once, through `frames`, which is there once it is prepared.
    """

    frames: ClientFrames

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Answer the handshake."""
        if request.transport is not None:
            self.frames = ClientFrames(request.transport)
        return await super().prepare(request)

    def excuse(self) -> None:
        """The client can't be heard, since we don't read: that no pong comes means nothing."""
        if self._loop is not None and not self.closed:
            self._reset_heartbeat()

    async def leave_unread(self, seconds: float) -> None:
        """Wait, and let the client's messages wait on its side of the network."""
        while seconds > 0:
            pause = min(seconds, PATIENCE_SECONDS)
            await asyncio.sleep(pause)
            self.excuse()
            seconds -= pause
