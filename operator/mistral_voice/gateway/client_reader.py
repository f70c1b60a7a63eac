"""Reads one client's messages, no faster than its limits allow, and hands them to its session."""

import asyncio
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType

from mistral_voice.gateway.client_limits import ClientMeter
from mistral_voice.gateway.client_socket import PATIENCE_SECONDS, ClientSocket
from mistral_voice.gateway.hearing import Hearing
from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.metrics import GatewayMetrics
from mistral_voice.gateway.outbound import Outbound
from mistral_voice.gateway.protocol.client_events import BadEventError, decode, decode_audio
from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.commands import EndReason

SLICE_MS = 100
"""Long audio is taken in such slices, with the other sessions' turn between them."""
EXCUSED_SECONDS = 1.0
"""A client whose audio comes needs no ping, which is put off so often."""
MESSAGES_IN_A_ROW = 16
"""After so many messages that were there already, the other sessions have their turn;"""
BYTES_IN_A_ROW = 64 * 1024
"""… and after so many bytes of them and of their answers."""


class ClientReader:
    """`take` and `take_audio` hand an input to the session, `complain` answers a message that can't be used; `answers` is where what comes
    of it goes.

    `last_heard` is in the loop's time. `most_bytes`: the largest message.
    """

    def __init__(
        self,
        socket: ClientSocket,
        meter: ClientMeter,
        hearing: Hearing,
        take: Callable[[inputs.Input], None],
        take_audio: Callable[[bytes, float], None],
        complain: Callable[[BadEventError], None],
        answers: Outbound,
        metrics: GatewayMetrics,
        now_ms: Callable[[], float],
        most_bytes: int,
    ) -> None:
        self._socket = socket
        self._meter = meter
        self._hearing = hearing
        self._take = take
        self._take_audio = take_audio
        self._complain = complain
        self._answers = answers
        self._metrics = metrics
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._most_bytes = most_bytes
        self._in_a_row = 0
        self._bytes_in_a_row = 0
        self._unlooked_bytes = 0  # since it was last looked whether there is room
        self._excused = self.last_heard = self._loop.time()

    async def run(self) -> EndReason:
        """Read until the client closes the connection, or breaks it, or aiohttp does for a message that is too big; returns which."""
        end = EndReason.CLIENT_CLOSED
        self._socket.frames.offer_to(self._take_at_once)
        try:
            async for message in self._socket:
                self.last_heard = self._loop.time()
                if message.type is WSMsgType.TEXT:
                    self._metrics.client_bytes.received += len(message.data)
                    await self._message(message.data)
                elif message.type is WSMsgType.BINARY:
                    await self._may_be_read()
                    self._refuse(BadEventError("invalid_event", "Messages are JSON texts; audio goes into `input_audio_buffer.append`."))
                elif message.type is WSMsgType.ERROR and getattr(message.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG:
                    self._metrics.limit_hit(Limit.MESSAGE_SIZE)
                    end = EndReason.MESSAGE_TOO_BIG
                self._socket.frames.messages_done += 1
        finally:
            self._socket.frames.offer_to(None)
        return end

    def _take_at_once(self, text: bytearray) -> bool:
        """Take a message that is audio and needs no patience; returns False for others, which then are read in their turn."""
        audio = decode_audio(text) if len(text) <= self._most_bytes else None
        if audio is None:
            return False
        bytes_per_ms = self._hearing.audio_format.bytes_per_ms
        size, now_ms = len(audio), self._now_ms()
        self._unlooked_bytes += size
        if self._unlooked_bytes >= SLICE_MS * bytes_per_ms:
            self._unlooked_bytes = 0
            if size > SLICE_MS * bytes_per_ms or not self._hearing.has_room:
                return False
        if not self._meter.allows_audio(size / bytes_per_ms, now_ms):
            return False
        self._metrics.client_bytes.received += len(text)
        now = self._loop.time()
        self.last_heard = now
        if now - self._excused >= EXCUSED_SECONDS:
            self._excused = now
            self._socket.excuse()
        self._take_audio(audio, now_ms)
        return True

    async def _message(self, text: bytes) -> None:
        await self._may_be_read()
        answered = self._answers.taken_bytes
        try:
            event = decode(text)
        except BadEventError as error:
            self._refuse(error)
        else:
            if isinstance(event, inputs.AppendAudio):
                await self._audio(event.audio)
                return
            self._do(event)
        await self._count(len(text) + self._answers.taken_bytes - answered)

    def _do(self, event: inputs.ClientInput) -> None:
        if isinstance(event, inputs.CreateResponse) and not self._meter.allows_response(self._now_ms()):
            self._limit(event, Limit.RESPONSES, "Too many responses were asked for in a short time; ask again in some seconds.")
        elif isinstance(event, inputs.CommitAudio) and not self._meter.allows_turn(self._now_ms()):
            self._limit(event, Limit.TURNS, "Too many turns were committed in a short time; commit again in some seconds.")
        else:
            self._take(event)

    def _limit(self, event: inputs.CreateResponse | inputs.CommitAudio, limit: Limit, message: str) -> None:
        self._metrics.limit_hit(limit)
        self._complain(BadEventError("rate_limit_exceeded", message, event_id=event.event_id))

    async def _count(self, text_bytes: int) -> None:
        wait_ms = self._meter.text(text_bytes, self._now_ms())
        if wait_ms:
            self._metrics.limit_hit(Limit.TEXT_RATE)
            await self._socket.leave_unread(wait_ms / 1000)
        self._bytes_in_a_row += text_bytes
        if self._bytes_in_a_row >= BYTES_IN_A_ROW:
            self._bytes_in_a_row = 0
            await asyncio.sleep(0)

    async def _may_be_read(self) -> None:
        wait_ms = self._meter.message(self._now_ms())
        if wait_ms:
            self._metrics.limit_hit(Limit.MESSAGE_RATE)
            await self._socket.leave_unread(wait_ms / 1000)
        self._in_a_row += 1
        if self._in_a_row % MESSAGES_IN_A_ROW == 0:
            await asyncio.sleep(0)

    async def _audio(self, audio: bytes) -> None:
        slice_bytes = SLICE_MS * self._hearing.audio_format.bytes_per_ms
        if len(audio) <= slice_bytes:
            await self._slice(audio)
            return
        for start in range(0, len(audio), slice_bytes):
            await self._slice(audio[start : start + slice_bytes])
            await asyncio.sleep(0)

    async def _slice(self, audio: bytes) -> None:
        self._take_audio(audio, self._now_ms())
        wait_ms = self._meter.audio(len(audio) / self._hearing.audio_format.bytes_per_ms, self._now_ms())
        if wait_ms:
            self._metrics.limit_hit(Limit.AUDIO_RATE)
            await self._socket.leave_unread(wait_ms / 1000)
        if not self._hearing.has_room and await self._wait_for_room():
            self._metrics.limit_hit(Limit.INPUT_BACKLOG)

    async def _wait_for_room(self) -> bool:
        had_to_wait = False
        while True:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await self._hearing.room() or had_to_wait
            except TimeoutError:
                had_to_wait = True
                self._socket.excuse()

    def _refuse(self, error: BadEventError) -> None:
        self._metrics.limit_hit(Limit.MALFORMED_MESSAGE)
        self._complain(error)
