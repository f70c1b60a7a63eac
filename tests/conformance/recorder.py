"""A pass-through between a client and a gateway that keeps what goes both ways and checks what the gateway sends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import aiohttp
from aiohttp import WSMsgType, web
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, ValidationError

_MAX_LINE = 500
_MAX_MESSAGE_BYTES = 32 * 1024 * 1024
_HANDSHAKE_HEADERS = frozenset(
    {"connection", "host", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"}
)
_EVENT_TYPES: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
    if hasattr(kind, "model_fields")
}


@dataclass
class Call:
    """One connection: the events of both sides in their order, and the code with which it was closed."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None
    lines: list[str] = field(default_factory=list)
    """All of it to read: one line for each event, without audio and without repetition."""

    def note(self, direction: str, event: dict[str, Any]) -> None:
        """Write a line for an event."""
        told = {name: value for name, value in event.items() if name not in ("type", "audio", "delta", "event_id")}
        repeated = event["type"].endswith((".delta", ".append")) and any(event["type"] in line for line in self.lines[-2:])
        if not repeated:
            self.lines.append(f"{direction} {event['type']} {json.dumps(told)[:_MAX_LINE]}")

    @property
    def instructions(self) -> str | None:
        """The session's instructions, as the gateway has told them last; None if it has told none."""
        updates = self.all_received("session.updated")
        told: str | None = updates[-1]["session"]["instructions"] if updates else None
        return told

    def all_sent(self, event_type: str) -> list[dict[str, Any]]:
        """Return what the client sent of a type."""
        return [event for event in self.sent if event["type"] == event_type]

    def all_received(self, event_type: str) -> list[dict[str, Any]]:
        """Return what the gateway sent of a type."""
        return [event for event in self.received if event["type"] == event_type]


class Recorder:
    """Stands before a gateway. `faults` says which events of the gateway were not as OpenAI's types have them."""

    def __init__(self, gateway_url: str) -> None:
        self.gateway_url = gateway_url
        self.base_url = ""
        self.calls: list[Call] = []
        self.faults: list[str] = []
        self._known_ids: set[str] = set()

    @property
    def call(self) -> Call:
        """The newest connection."""
        return self.calls[-1]

    @property
    def instructions(self) -> str | None:
        """The newest session's instructions; None before any were told."""
        return self.calls[-1].instructions if self.calls else None

    def story(self) -> str:
        """All calls, to read."""
        return "\n".join(
            line for number, call in enumerate(self.calls, 1) for line in (f"Call {number}, closed with {call.close_code}:", *call.lines)
        )

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Connect a client through, or give it the gateway's refusal."""
        protocols = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HANDSHAKE_HEADERS}
        async with aiohttp.ClientSession() as http:
            try:
                gateway = await http.ws_connect(
                    self.gateway_url + request.raw_path, headers=headers, protocols=protocols, max_msg_size=_MAX_MESSAGE_BYTES
                )
            except aiohttp.WSServerHandshakeError as refused:
                return web.Response(status=refused.status, text=refused.message)
            client = web.WebSocketResponse(protocols=protocols, max_msg_size=_MAX_MESSAGE_BYTES)
            await client.prepare(request)
            call = Call()
            self.calls.append(call)
            sending = asyncio.create_task(self._send_on(client, gateway, call))
            try:
                await self._receive_on(gateway, client, call)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            return client

    async def _send_on(self, client: web.WebSocketResponse, gateway: "aiohttp.ClientWebSocketResponse[bool]", call: Call) -> None:
        async for message in client:
            if message.type is WSMsgType.TEXT:
                call.sent.append(json.loads(message.data))
                call.note("→", call.sent[-1])
                with contextlib.suppress(ConnectionError):
                    await gateway.send_str(message.data)
        await gateway.close()

    async def _receive_on(self, gateway: "aiohttp.ClientWebSocketResponse[bool]", client: web.WebSocketResponse, call: Call) -> None:
        async for message in gateway:
            if message.type is WSMsgType.TEXT:
                event = json.loads(message.data)
                self.faults += self._faults_of(event)
                call.received.append(event)
                call.note("←", event)
                with contextlib.suppress(ConnectionError):
                    await client.send_str(message.data)
        call.close_code = gateway.close_code
        await client.close(code=gateway.close_code or 1006)

    def _faults_of(self, event: dict[str, Any]) -> Iterator[str]:
        kind = _EVENT_TYPES.get(event["type"])
        if kind is None:
            yield f"{event['type']}: there is no such event"
            return
        if event["event_id"] in self._known_ids:
            yield f"{event['type']}: {event['event_id']} is the id of another event, too"
        self._known_ids.add(event["event_id"])
        try:
            kind.model_validate(event)
        except ValidationError as error:
            yield f"{event['type']}: {error}"


@contextlib.asynccontextmanager
async def recording(gateway_url: str) -> AsyncIterator[Recorder]:
    """Stand before a gateway while the context lasts, at `base_url`; at its end, raises AssertionError if an event was invalid."""
    recorder = Recorder(gateway_url)
    app = web.Application()
    app.router.add_get("/v1/realtime", recorder.pass_on)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        recorder.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield recorder
    finally:
        await runner.cleanup()
    assert recorder.faults == []
