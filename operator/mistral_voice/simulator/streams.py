"""Streams of events to a client, server-sent or over a socket, and the faults that strike within them."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from mistral_voice.runtime.close_reason import close_reason
from mistral_voice.simulator.call import Call, StreamEndedError, cut, garbage, hang
from mistral_voice.simulator.errors import error_object
from mistral_voice.simulator.faults import Fault, FaultKind
from mistral_voice.simulator.wire.transcription import Error, ErrorDetail

_encoder = msgspec.json.Encoder()


class _FaultAhead:
    """Counts events and tells when the stream's fault is due."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault
        self._after = (fault.after_events or 0) if fault else 0
        self._sent = 0

    def due(self) -> Fault | None:
        """Return the fault if the stream has come to it; once."""
        if self._fault is None or self._sent < self._after:
            return None
        fault, self._fault = self._fault, None
        return fault

    def sent(self) -> None:
        """Count an event."""
        self._sent += 1


class SseStream:
    """Server-sent events."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._response = web.StreamResponse(headers={"Cache-Control": "no-cache", **(call.rate_headers or {}), **call.id_header})
        self._response.content_type = "text/event-stream"
        self._fault = _FaultAhead(call.stream_fault)

    async def open(self) -> None:
        """Send the headers."""
        await self._response.prepare(self._call.request)
        self._call.record.status = self._response.status
        self._call.open_stream = self._response
        await self._strike()

    async def send(self, data: Any, event: str | None = None) -> None:
        """Send one event. Raises StreamEndedError if a fault ended the stream."""
        await self._write(_encoder.encode(data), event)
        self._fault.sent()
        await self._strike()

    async def close(self, sentinel: bytes | None = None) -> web.StreamResponse:
        """End the stream, with `data: <sentinel>` if given."""
        if sentinel is not None:
            await self._write(sentinel, None)
        await self._response.write_eof()
        return self._response

    async def _write(self, data: bytes, event: str | None) -> None:
        name = f"event: {event}\n".encode() if event else b""
        await self._response.write(b"%bdata: %b\n\n" % (name, data))

    async def _strike(self) -> None:
        fault = self._fault.due()
        if fault is None:
            return
        clock = self._call.simulator.clock
        await clock.sleep_until(clock.now() + fault.strikes_after_ms / 1000)
        match fault.kind:
            case FaultKind.CUT | FaultKind.CLOSE:
                cut(self._call.request)
            case FaultKind.STALL if fault.keep_alive_ms is None:
                await hang()
            case FaultKind.STALL:
                await _keep_alive(self._call, fault, lambda: self._response.write(b": keep-alive\n\n"))
            case FaultKind.ERROR_EVENT:
                await self._write(_encoder.encode(error_object(fault.error_message, "stream_error", str(fault.error_code))), "error")
                if not fault.goes_on:
                    raise StreamEndedError("An error event ended the stream.")
            case _:
                body = garbage(fault).body
                await self._write(body if isinstance(body, bytes) else b"", None)


class SocketStream:
    """Events over a realtime socket."""

    def __init__(self, call: Call, websocket: web.WebSocketResponse) -> None:
        self._call = call
        self._websocket = websocket
        self._fault = _FaultAhead(call.stream_fault)
        self._stalled = False

    async def send(self, event: msgspec.Struct) -> None:
        """Send one event. Raises StreamEndedError if the socket is closed or a fault ended it."""
        await self._strike()
        if self._stalled:
            return
        await self._write(_encoder.encode(event).decode())
        if self._call.simulator.recorder.wants_message(self._call.record):
            self._call.simulator.recorder.message(self._call.record, "out", _recorded(event))
        self._fault.sent()
        await self._strike()

    async def fail(self, message: str, code: int, close_code: int | None) -> None:
        """Send an `error` event, and close if `close_code` is given."""
        await self.send(Error(ErrorDetail(message, code)))
        if close_code is not None:
            await self.close(close_code, message)
            raise StreamEndedError("The socket was closed after an error.")

    async def close(self, code: int, reason: str = "") -> None:
        """Close the socket; a reason is cut at the 123 bytes that a close frame holds."""
        self._call.record.close_code = code
        if not self._stalled:
            await self._websocket.close(code=code, message=close_reason(reason))

    async def _write(self, text: str) -> None:
        if self._websocket.closed:
            raise StreamEndedError("The socket is closed.")
        try:
            await self._websocket.send_str(text)
        except ConnectionError as error:
            raise StreamEndedError("The client is gone.") from error

    async def _strike(self) -> None:
        fault = self._fault.due()
        if fault is None:
            return
        clock = self._call.simulator.clock
        await clock.sleep_until(clock.now() + fault.strikes_after_ms / 1000)
        match fault.kind:
            case FaultKind.CUT:
                cut(self._call.request)
            case FaultKind.STALL if fault.keep_alive_ms is None:
                self._stalled = True
            case FaultKind.STALL:
                await _keep_alive(self._call, fault, lambda: self._write('{"type":"keep_alive"}'))
            case FaultKind.ERROR_EVENT:
                await self._write(_encoder.encode(Error(ErrorDetail(fault.error_message, fault.error_code))).decode())
                if not fault.goes_on:
                    await self.close(WSCloseCode.INTERNAL_ERROR)
                    raise StreamEndedError("An error event ended the stream.")
            case FaultKind.CLOSE:
                await self.close(fault.close_code, fault.close_reason)
                raise StreamEndedError("The socket was closed on purpose.")
            case _:
                body = garbage(fault).body
                await self._write(body.decode() if isinstance(body, bytes) else "")


async def _keep_alive(call: Call, fault: Fault, send: Callable[[], Awaitable[None]]) -> None:
    """Keep a connection busy until the client has gone."""
    clock = call.simulator.clock
    while True:
        await clock.sleep_until(clock.now() + (fault.keep_alive_ms or 0) / 1000)
        await send()


def _recorded(event: msgspec.Struct) -> Any:
    """Return an event as it is recorded: audio by its size alone."""
    audio = getattr(event, "audio_data", None)
    if isinstance(audio, str):
        return {"type": event.__struct_config__.tag, "audio_bytes": len(audio) * 3 // 4}
    return msgspec.to_builtins(event)
