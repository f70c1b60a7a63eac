"""The short way for audio: a frame of it that comes in one piece goes to its session at once, past aiohttp's queue and the reader's task.

It is what a client sends fifty times a second, and the way through parser, queue, future and task costs more than all that is done with it.
Everything else goes the usual way, as it came.

The function that takes a frame's mask off is aiohttp's own, and not among what it promises: without it, this module can't be imported
(`tests/unit/gateway/test_private_names.py` says so in words).
"""

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType
from aiohttp._websocket.helpers import websocket_mask

_WHOLE_TEXT = 0x80 | WSMsgType.TEXT.value
"""First byte of a text message in one frame."""
_MASKED_16_BITS = 0x80 | 126
"""Second byte of a masked frame whose length, 126 … 65535, is in the two bytes that follow."""
_HEADER = 8
_FIN, _OPCODE, _LENGTH, _MASKED = 0x80, 0x0F, 0x7F, 0x80
_CONTROL = 0x8
MOST_AT_ONCE = 64
"""Messages of one piece of data that are taken at once; the rest wait, with the other sessions' turn between."""


class FrameTrack:
    """Knows where frames begin in data that is cut anywhere, and how many messages have begun to end (their last frame has begun).

    `is_between_messages`: the next byte begins a message, or a control frame.
    """

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._in_message = False
        self.messages = 0
        self.is_between_messages = True

    def follow(self, data: bytes) -> None:
        """Take the next data."""
        self._advance(data)
        self.is_between_messages = not (self._left or self._header or self._in_message)

    def _advance(self, data: bytes) -> None:
        at, size = 0, len(data)
        while True:
            step = min(self._left, size - at)
            self._left -= step
            at += step
            if at == size:
                return
            known = len(self._header)
            header = self._header + data[at : at + 14 - known]
            length = _header_length(header)
            if len(header) < length:
                self._header = header
                return
            at += length - known
            self._header = b""
            self._begin(header)

    def _begin(self, header: bytes) -> None:
        short = header[1] & _LENGTH
        self._left = short if short < 126 else int.from_bytes(header[2 : 4 if short == 126 else 10], "big")
        if not header[0] & _CONTROL:
            self._in_message = not header[0] & _FIN
            self.messages += not self._in_message


class ClientFrames(asyncio.Protocol):
    """Stands between a client's transport and the protocol that it had, and offers whole text messages to whoever may take them at once.

    `messages_done` is for the reader to count: of those that went the usual way. While some of them are to be done yet, none is offered.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        protocol = transport.get_protocol()
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("A client's transport has a protocol that takes bytes.")
        self._usual = protocol
        self._track = FrameTrack()
        self._offer: Callable[[bytearray], bool] | None = None
        self.messages_done = 0
        transport.set_protocol(self)

    def offer_to(self, offer: Callable[[bytearray], bool] | None) -> None:
        """Offer messages to `offer` from now on, which returns whether it took them; None: to nobody."""
        self._offer = offer

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        track, offer = self._track, self._offer
        if offer is not None and track.is_between_messages and track.messages == self.messages_done:
            data = data[_taken(data, offer) :]
            if not data:
                return
        track.follow(data)
        self._usual.data_received(data)

    def eof_received(self) -> bool | None:
        """The client has ended its side."""
        return self._usual.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._offer = None
        self._usual.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._usual.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._usual.resume_writing()


def _taken(data: bytes, offer: Callable[[bytearray], bool]) -> int:
    """Offer the whole text messages that data begins with; return how many bytes were taken."""
    at, size = 0, len(data)
    for _ in range(MOST_AT_ONCE):
        if size - at <= _HEADER or data[at] != _WHOLE_TEXT or data[at + 1] != _MASKED_16_BITS:
            break
        end = at + _HEADER + (data[at + 2] << 8 | data[at + 3])
        if end > size:
            break
        text = bytearray(data[at + _HEADER : end])
        websocket_mask(data[at + 4 : at + _HEADER], text)
        if not offer(text):
            break
        at = end
    return at


def _header_length(header: bytes) -> int:
    """Return how long the header is that begins like this."""
    if len(header) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(header[1] & _LENGTH, 0)
    return 2 + extended + (4 if header[1] & _MASKED else 0)
