"""The gateways' port: session lines and calls, nothing else."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Final

import msgspec
from aiohttp import web

from mistral_voice.broker.allowance import Rate
from mistral_voice.broker.calls import MAX_BODY_BYTES, Calls
from mistral_voice.broker.lines import MAX_MESSAGE_BYTES, PING_SECONDS, Line, Surroundings
from mistral_voice.contract.lease import SESSION_LINE_PATH, Refusal, RefusalReason
from mistral_voice.contract.secret import Secret
from mistral_voice.kube.identity import Identity, NotAuthenticatedError, ReviewUnavailableError
from mistral_voice.runtime.serving import runner

MOST_LINES: Final = 5_000
_TOO_MANY: Final = Refusal(RefusalReason.TOO_MANY_REQUESTS, "Too many sessions were asked for in a short time.", 5)


class Phase(Enum):
    """Where a broker stands."""

    STARTING = auto()
    SERVING = auto()
    DRAINING = auto()
    REFUSING = auto()


class GatewayPort:
    """Answers the gateways' requests."""

    def __init__(self, identity: Identity, calls: Calls, surroundings: Surroundings) -> None:
        self._identity = identity
        self._calls = calls
        self._its = surroundings
        self._lines = 0
        self._rate = Rate(surroundings.clock.monotonic)
        self.phase = Phase.STARTING

    def not_ready_because(self) -> str | None:
        """Return None when ready, else what is missing. Neither Mistral's state nor the control plane's plays a part in it."""
        if self.phase is Phase.STARTING:
            return "The broker is starting."
        if self.phase is not Phase.SERVING:
            return "The broker is draining."
        return self._its.directory.not_ready_because()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get(SESSION_LINE_PATH, self._line, allow_head=False)
        self._calls.add_to(app.router)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        return app

    async def _unknown(self, _: web.Request) -> web.Response:
        self._its.metrics.turned_away("path")
        return web.json_response({"object": "error", "message": "There is no such call here.", "code": "404"}, status=404)

    async def _line(self, request: web.Request) -> web.StreamResponse:
        if self.phase is Phase.REFUSING or self._lines >= MOST_LINES:
            reason = RefusalReason.DRAINING if self.phase is Phase.REFUSING else RefusalReason.TOO_MANY_REQUESTS
            return self._turn_away(503, Refusal(reason, "This broker takes no more sessions; ask again to reach another.", 1))
        if (missing := self._its.directory.not_ready_because()) is not None:
            return self._turn_away(503, Refusal(RefusalReason.LEDGER_UNAVAILABLE, missing, 1))
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(
            compress=False, max_msg_size=MAX_MESSAGE_BYTES, heartbeat=PING_SECONDS, timeout=2.0, decode_text=False
        )
        if not socket.can_prepare(request):
            return self._turn_away(426, Refusal(RefusalReason.TOO_MANY_REQUESTS, "This is a WebSocket endpoint."))
        if not self._rate.allows(f"address {request.remote}"):
            return self._turn_away(429, _TOO_MANY)
        given = request.headers.getall("Authorization", [])
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        self._lines += 1
        try:
            caller = await self._identity.caller(Secret(token.strip() if scheme.lower() == "bearer" else ""))
            if not self._rate.allows(f"namespace {caller.namespace}"):
                return self._turn_away(429, _TOO_MANY)
            await socket.prepare(request)
            await Line(socket, caller, request.remote or "", self._its).run()
        except NotAuthenticatedError as error:
            return self._turn_away(401, Refusal(RefusalReason.NOT_AUTHENTICATED, str(error)))
        except ReviewUnavailableError as error:
            return self._turn_away(503, Refusal(RefusalReason.LEDGER_UNAVAILABLE, str(error), 2))
        finally:
            self._lines -= 1
        return socket

    def _turn_away(self, status: int, refusal: Refusal) -> web.Response:
        self._its.metrics.line_refused(refusal.reason.value)
        headers = {"Retry-After": str(refusal.retry_after_seconds)} if refusal.retry_after_seconds is not None else None
        return web.Response(status=status, body=msgspec.json.encode(refusal), content_type="application/json", headers=headers)


@asynccontextmanager
async def listening(app: web.Application, listener: socket.socket, tls: ssl.SSLContext) -> AsyncIterator[None]:
    """Serve `app` on a bound socket while the context lasts. A call whose gateway goes away is cancelled, and so is its upstream."""
    served = runner(app, shutdown_seconds=2.0, handler_cancellation=True)
    await served.setup()
    try:
        await web.SockSite(served, listener, ssl_context=tls).start()
        yield
    finally:
        await served.cleanup()
