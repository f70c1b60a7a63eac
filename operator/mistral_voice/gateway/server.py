"""The client port: who is let in, and with which words others are turned away."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

from mistral_voice.gateway.client_token import REALTIME_PROTOCOL, ClientTokens, presented_token
from mistral_voice.gateway.connection import Connection, Surroundings
from mistral_voice.gateway.lifecycle import Lifecycle
from mistral_voice.gateway.session.commands import EndReason
from mistral_voice.gateway.session.errors import Refused

MAX_MESSAGE_BYTES = 1024 * 1024
"""Largest message of a client; a larger one ends the connection with close code 1009."""
PING_SECONDS = 20.0
_GREETING = "This is a voice gateway. It speaks the Realtime protocol over WebSocket at /v1/realtime.\n"


class ClientPort:
    """Answers the client port's requests. `max_sessions` bounds the live sessions of this pod."""

    def __init__(self, tokens: ClientTokens, lifecycle: Lifecycle, surroundings: Surroundings, max_sessions: int) -> None:
        self._tokens = tokens
        self._lifecycle = lifecycle
        self._surroundings = surroundings
        self._max_sessions = max_sessions
        self._metrics = surroundings.metrics

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_get("/", self._greet)
        app.router.add_get("/v1/realtime", self._realtime)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        return app

    async def _greet(self, _: web.Request) -> web.Response:
        return web.Response(text=_GREETING)

    async def _unknown(self, _: web.Request) -> web.Response:
        return _refusal(404, "not_found", "There is nothing here. Voice sessions are at /v1/realtime, over WebSocket.")

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        refusal = self._turned_away(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(
            protocols=(REALTIME_PROTOCOL,),
            compress=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            heartbeat=PING_SECONDS,
            timeout=3.0,
            decode_text=False,
        )
        connection = Connection(socket, self._surroundings)
        self._lifecycle.add(connection)
        self._metrics.sessions.inc()
        reason = EndReason.ERROR
        try:
            await socket.prepare(request)
            reason = await connection.run(request.query.get("model"), request.transport)
        finally:
            self._lifecycle.remove(connection)
            self._metrics.sessions.dec()
            self._metrics.session_ended(reason)
        return socket

    def _turned_away(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request that is not let in; None for one that is."""
        protocols = [protocol.strip() for protocol in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
        if not self._tokens.accepts(presented_token(request.headers.get(hdrs.AUTHORIZATION), protocols)):
            self._metrics.refused("unauthorized")
            message = "The token is missing or wrong. Send the integration's token as `Authorization: Bearer …`."
            return _refusal(401, "invalid_api_key", message, {"WWW-Authenticate": "Bearer"})
        if not self._lifecycle.phase.accepts:
            self._metrics.refused("draining")
            return _refusal(503, "draining", "This gateway is being stopped. Connect again to reach another.", _RETRY)
        if not web.WebSocketResponse().can_prepare(request):
            self._metrics.refused("upgrade")
            return _refusal(426, "upgrade_required", "This is a WebSocket endpoint.", {"Upgrade": "websocket"})
        if self._lifecycle.session_count >= self._max_sessions:
            self._metrics.refused("limit")
            self._metrics.limit_hit("sessions")
            message = (
                f"This gateway holds its {self._max_sessions} sessions already. Try again later, or raise `gateway.maxSessionsPerPod`."
            )
            return _refusal(503, "session_limit_reached", message, _RETRY)
        try:
            self._surroundings.policy.resolve_model(request.query.get("model", ""), "model")
        except Refused as refused:
            self._metrics.refused("model")
            return _refusal(403, refused.code, refused.message)
        return None


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve `app` while the context lasts; yields the bound port. Raises OSError if the port can't be bound."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


_RETRY = {"Retry-After": "1"}


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"type": kind, "code": code, "message": message, "param": None}}
    return web.json_response(body, status=status, headers=headers)
