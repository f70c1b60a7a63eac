"""A WebSocket client that costs next to nothing: frames are masked ahead of time and written as they are; what comes is cut, not copied."""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA
_SWITCHED = b"HTTP/1.1 101"
_HEADER_END = b"\r\n\r\n"
_OPEN_SECONDS = 30.0

OnMessage = Callable[[bytes], None]


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return a client's frame with this payload, masked: ready to be written any number of times, by any number of clients."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    repeated = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ repeated).to_bytes(size, "big")


class WebSocket(asyncio.Protocol):
    """One connection. `on_message` is called with each message's payload; `closed` is done, with the close code, when it is over."""

    def __init__(self, request: bytes, on_message: OnMessage) -> None:
        self._request = request
        self._on_message = on_message
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._close_code = 1006
        self._is_open = False
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()

    def write(self, ready: bytes) -> None:
        """Send a frame that `frame` made."""
        if self._transport is not None:
            self._transport.write(ready)

    def close(self) -> None:
        """Begin to close."""
        self.write(frame((1000).to_bytes(2, "big"), CLOSE))

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("The connection ended before it was a WebSocket."))
        if not self.closed.done():
            self.closed.set_result(self._close_code)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._is_open or self._opens():
            self._cut()

    def _opens(self) -> bool:
        """Take the answer to the upgrade; tell whether it is there and good."""
        end = self._buffer.find(_HEADER_END)
        if end < 0:
            return False
        if not self._buffer.startswith(_SWITCHED):
            refusal = bytes(self._buffer[:200]).decode(errors="replace")
            if not self.opened.done():
                self.opened.set_exception(ConnectionError(f"The upgrade was refused: {refusal}"))
            self.abort()
            return False
        del self._buffer[: end + len(_HEADER_END)]
        self._is_open = True
        self.opened.set_result(None)
        return True

    def _cut(self) -> None:
        """Give out the frames that are whole. Servers of these benchmarks don't fragment messages and don't mask."""
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2:
            opcode, size, body = buffer[start] & 0x0F, buffer[start + 1] & 0x7F, start + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(buffer) - body < width:
                    break
                size = int.from_bytes(buffer[body : body + width], "big")
                body += width
            if len(buffer) - body < size:
                break
            payload = bytes(memoryview(buffer)[body : body + size])
            start = body + size
            self._take(opcode, payload)
        del buffer[:start]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode in (TEXT, BINARY):
            self._on_message(payload)
        elif opcode == PING:
            self.write(frame(payload, PONG))
        elif opcode == CLOSE:
            self._close_code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self.write(frame(payload[:2], CLOSE))
            if self._transport is not None:
                self._transport.close()


async def connect(url: str, token: str | None, on_message: OnMessage) -> WebSocket:
    """Open a WebSocket to a `ws://` address. Raises ConnectionError or TimeoutError if that fails."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {address.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    ]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_OPEN_SECONDS):
        _, socket = await loop.create_connection(lambda: WebSocket(request, on_message), address.hostname, address.port)
        await socket.opened
    return socket
