"""What both realtime sockets share: opening, receiving with time-outs, refusing, closing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from mistral_voice.simulator.call import REALTIME_PROTOCOL, Call, StreamEndedError
from mistral_voice.simulator.catalogue import Ability, Model
from mistral_voice.simulator.core import OpenSocket
from mistral_voice.simulator.errors import (
    CODE_DURATION,
    CODE_INVALID_MESSAGE,
    CODE_INVALID_MODEL,
    CODE_TIMEOUT,
    TIMEOUT_MESSAGE,
    ApiError,
    RealtimeError,
    error_object,
    not_found,
    unprocessable,
)
from mistral_voice.simulator.recording import bounded
from mistral_voice.simulator.streams import SocketStream

SWITCHING_PROTOCOLS = 101
POLICY_VIOLATION = 1008
NORMAL = 1000


class Socket:
    """A realtime socket: `stream` sends, `receive` decodes what comes."""

    def __init__(self, call: Call, websocket: web.WebSocketResponse) -> None:
        self.call = call
        self.websocket = websocket
        self.stream = SocketStream(call, websocket)
        self._opened = asyncio.get_running_loop().time()

    async def receive(self, decoder: "msgspec.json.Decoder[Any]") -> Any:
        """Return the client's next message, or None when it is gone. Raises RealtimeError for what is no message, or after a time-out."""
        patience = self._patience()
        try:
            message = await self.websocket.receive() if patience is None else await asyncio.wait_for(self.websocket.receive(), patience)
        except TimeoutError as error:
            raise self._out_of_time() from error
        if message.type is not WSMsgType.TEXT:
            if message.type is WSMsgType.BINARY:
                raise RealtimeError("Messages must be JSON text.", CODE_INVALID_MESSAGE)
            return None
        try:
            return decoder.decode(message.data)
        except msgspec.DecodeError as error:
            raise RealtimeError(f"Invalid message: {error}", CODE_INVALID_MESSAGE) from error

    def record(self, body: Any) -> None:
        """Record a message from the client."""
        recorder = self.call.simulator.recorder
        if recorder.wants_message(self.call.record):
            recorder.message(self.call.record, "in", bounded(body))

    def _patience(self) -> float | None:
        """Return how many seconds the next message may take."""
        dialect = self.call.simulator.dialect
        if dialect.idle_timeout_ms is None and dialect.max_duration_ms is None:
            return None
        patience = [] if dialect.idle_timeout_ms is None else [dialect.idle_timeout_ms / 1000]
        if dialect.max_duration_ms is not None:
            patience.append(max(0.0, self._opened + dialect.max_duration_ms / 1000 - asyncio.get_running_loop().time()))
        return min(patience, default=None)

    def _out_of_time(self) -> RealtimeError:
        limit = self.call.simulator.dialect.max_duration_ms
        if limit is not None and asyncio.get_running_loop().time() - self._opened >= limit / 1000 - 0.001:
            return RealtimeError("Maximum session duration reached.", CODE_DURATION, NORMAL)
        return RealtimeError(TIMEOUT_MESSAGE, CODE_TIMEOUT, POLICY_VIOLATION)


@contextlib.asynccontextmanager
async def opened(call: Call, ability: Ability, max_message_bytes: int) -> AsyncIterator[tuple[Socket, Model | None]]:
    """Open the socket that the call asks for; it is closed and forgotten at the end, also when its stream ends within the context.

    Yields it with its model, or with None if there is none of that name with this ability: then `refuse_model` tells the client.
    Raises ApiError if the handshake is refused.
    """
    simulator = call.simulator
    name = call.request.query.get("model")
    if not name:
        raise unprocessable(simulator.dialect, ("query", "model"), "Field required", "missing")
    if len(simulator.sockets) >= simulator.max_sockets:
        raise ApiError(503, error_object("Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"))
    model = simulator.catalogue.usable(name, ability)
    if model is None and not simulator.dialect.realtime_refusal_by_event:
        raise not_found(f"Model {name} not found.")
    websocket = web.WebSocketResponse(protocols=(REALTIME_PROTOCOL,), max_msg_size=max_message_bytes, compress=False, autoping=True)
    await websocket.prepare(call.request)
    call.record.status = SWITCHING_PROTOCOLS
    socket = Socket(call, websocket)
    entry = OpenSocket(call.endpoint, call.key.id if call.key else None, call.session, websocket, call.request)
    simulator.sockets.add(entry)
    gauge = simulator.metrics.sockets.labels(call.endpoint)
    gauge.inc()
    try:
        with contextlib.suppress(StreamEndedError):
            yield socket, model
    finally:
        gauge.dec()
        simulator.sockets.discard(entry)
        if call.record.close_code is None:
            call.record.close_code = websocket.close_code
        if not websocket.closed and call.request.transport is not None and not call.request.transport.is_closing():
            await websocket.close()


async def refuse(socket: Socket, error: RealtimeError) -> None:
    """Tell the client about its error; closes the socket (and raises StreamEndedError) where the error or the dialect wants it."""
    close_code = error.close_code
    if close_code is None and socket.call.simulator.dialect.errors_close:
        close_code = POLICY_VIOLATION
    await socket.stream.fail(error.message, error.code, close_code)


async def refuse_model(socket: Socket) -> None:
    """Tell the client that its model does not exist or can't do this, and close. Raises StreamEndedError."""
    await socket.stream.fail(f"Invalid model: {socket.call.model}", CODE_INVALID_MODEL, POLICY_VIOLATION)
