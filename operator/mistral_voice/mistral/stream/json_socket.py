"""A WebSocket to Mistral that carries JSON."""

import asyncio

import aiohttp

from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.runtime.redaction import STRUCK_OUT

_SHORT_REASON = 160


class JsonSocket:
    """Sends and receives JSON texts. Errors are StreamErrors that begin with what the socket is for, and never hold its credential."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool], what: str, credential: Secret, write_seconds: float) -> None:
        self._socket = socket
        self._what = what
        self._credential = credential
        self._write_seconds = write_seconds

    async def send(self, text: bytes) -> None:
        """Send one message. Raises StreamError if the upstream doesn't take it in time."""
        try:
            async with asyncio.timeout(self._write_seconds):
                await self._socket.send_frame(text, aiohttp.WSMsgType.TEXT)
        except TimeoutError:
            raise StreamError(FaultKind.TIMED_OUT, f"{self._what} failed: Mistral stopped taking data.") from None
        except (aiohttp.ClientError, ConnectionError):
            raise self._closed() from None

    async def receive(self) -> bytes:
        """Return the next message, however long it takes. Raises StreamError when the socket closes."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.BINARY:
            raise StreamError(FaultKind.GARBLED, f"{self._what} failed: Mistral sent something that is no text.")
        raise self._closed(message.extra if message.type is aiohttp.WSMsgType.CLOSE else None)

    def _closed(self, reason: str | None = None) -> StreamError:
        code = self._socket.close_code
        if code == 1008:
            shown = f" It says: {self._printable(reason)}" if reason else ""
            return StreamError(FaultKind.REJECTED, f"{self._what} failed: Mistral refused the request.{shown}")
        return StreamError(FaultKind.DISCONNECTED, f"{self._what} failed: Mistral closed the connection (code {code}).")

    def _printable(self, reason: str) -> str:
        shown = "".join(character for character in reason if character.isprintable())
        return shown.replace(self._credential.reveal(), STRUCK_OUT)[:_SHORT_REASON]
