"""The client port: who is let in, and with which words others are turned away."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import WSMsgType, web
from msgspec import UNSET

from mistral_voice.gateway.admission import Admission, Doorkeeper, Reason, TurnedAway, offered_protocols
from mistral_voice.gateway.client_secret import ClientSecrets
from mistral_voice.gateway.client_socket import ClientSocket
from mistral_voice.gateway.client_token import REALTIME_PROTOCOL
from mistral_voice.gateway.connection import Connection, Surroundings, new_id
from mistral_voice.gateway.lifecycle import Lifecycle
from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.managed.mode import ManagedMode, OpeningSession, close_code_of, refusal_event
from mistral_voice.gateway.managed.session_line import LineRefusedError
from mistral_voice.gateway.playground.pages import playground
from mistral_voice.gateway.secret_requests import MAX_BODY_BYTES, issue
from mistral_voice.gateway.session.commands import EndReason
from mistral_voice.gateway.session.config import SessionPatch, SessionType
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.policy import SessionPolicy
from mistral_voice.gateway.signposts import CLIENT_SECRETS, REALTIME, signpost
from mistral_voice.runtime.background import Background
from mistral_voice.runtime.close_reason import close_reason
from mistral_voice.runtime.serving import runner

PING_SECONDS = 20.0
SESSIONS_OF_A_SECRET = 4
"""Live sessions of one client secret in one pod."""
_GREETING = "This is a voice gateway. It speaks the Realtime protocol over WebSocket at /v1/realtime.\n"


class ClientPort:
    """Answers the client port's requests. `max_sessions` bounds the live sessions of this pod."""

    def __init__(
        self,
        door: Doorkeeper,
        secrets: ClientSecrets,
        lifecycle: Lifecycle,
        surroundings: Surroundings,
        max_sessions: int,
        managed: ManagedMode | None = None,
    ) -> None:
        self._door = door
        self._secrets = secrets
        self._lifecycle = lifecycle
        self._surroundings = surroundings
        self._max_sessions = max_sessions
        self._managed = managed
        self._metrics = surroundings.metrics
        self._sessions_by_secret: Counter[str] = Counter()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        if self._door.serves_playground:
            playground().add_to(app.router)
        else:
            app.router.add_get("/", self._greet)
        app.router.add_get(REALTIME, self._realtime)
        app.router.add_post(CLIENT_SECRETS, self._new_secret)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        return app

    async def _greet(self, _: web.Request) -> web.Response:
        return web.Response(text=_GREETING)

    async def _unknown(self, request: web.Request) -> web.Response:
        way = signpost(request.method, request.path)
        return _refusal(way.status, way.code, way.message, {"Allow": way.allow} if way.allow else None)

    async def _new_secret(self, request: web.Request) -> web.Response:
        try:
            token = self._door.server_token(request)
            answer = issue(self._secrets, self._door.policy, token, await request.read(), self._surroundings.clock.wall())
        except TurnedAway as turned_away:
            return self._turn_away(turned_away)
        except Refused as refused:
            return _refusal(400, refused.code, refused.message, param=refused.param)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "request_too_large", f"The body may have {MAX_BODY_BYTES} bytes.")
        self._metrics.client_secrets.inc()
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        try:
            admission = self._door.admit(request)
            self._check_room(request, admission)
        except TurnedAway as turned_away:
            return self._turn_away(turned_away)
        except Refused as refused:
            self._metrics.refused(Reason.MODEL)
            return _refusal(403, refused.code, refused.message, param="model")
        with self._counted(admission.secret_id):
            return await self._session(request, admission.policy)

    async def _session(self, request: web.Request, policy: SessionPolicy) -> web.StreamResponse:
        socket = ClientSocket(
            protocols=(REALTIME_PROTOCOL,),
            compress=False,
            max_msg_size=self._surroundings.limits.message_bytes,
            heartbeat=PING_SECONDS,
            timeout=3.0,
            decode_text=False,
        )
        session_id = new_id("sess")
        if self._managed is None:
            await self._run(request, Connection(socket, self._surroundings, policy, session_id), socket)
        else:
            await self._run_managed(request, socket, policy, session_id, self._managed)
        return socket

    async def _run(self, request: web.Request, connection: Connection, socket: ClientSocket, opening: OpeningSession | None = None) -> None:
        self._lifecycle.add(connection)
        if opening is not None:
            self._lifecycle.remove(opening)
        reason = EndReason.ERROR
        try:
            if not socket.prepared:
                await socket.prepare(request)
            reason = await connection.run(wishes_of(request), request.transport)
        finally:
            self._lifecycle.remove(connection)
            self._metrics.session_ended(reason, connection.chat_model)

    async def _run_managed(
        self, request: web.Request, socket: ClientSocket, policy: SessionPolicy, session_id: str, managed: ManagedMode
    ) -> None:
        """Hold a session that first asks a broker whether it may be one."""
        line = managed.line(session_id, policy, self._surroundings)
        opening = OpeningSession()
        self._lifecycle.add(opening)
        try:
            await socket.prepare(request)
            opened = await line.open()
            surroundings = managed.surroundings(self._surroundings, line)
            policy = managed.policy(policy, opened)
            connection = Connection(socket, surroundings, policy, session_id)
            line.attend(connection.take, lambda: connection.is_calm)
            async with Background("session").running(line=line.run(), spares=surroundings.speech.run()):
                await self._run(request, connection, socket, opening)
        except LineRefusedError as refused:
            self._metrics.refused(Reason.PLAN)
            await socket.send_frame(refusal_event(session_id, refused.refusal), WSMsgType.TEXT)
            await socket.close(code=close_code_of(refused.refusal), message=close_reason(refused.refusal.message))
        finally:
            self._lifecycle.remove(opening)
            await line.close()

    def _check_room(self, request: web.Request, admission: Admission) -> None:
        """Raise TurnedAway, or Refused for the model, if there can be no session for somebody who may have one."""
        if not self._lifecycle.phase.accepts:
            message = "This gateway is being stopped. Connect again to reach another."
            raise TurnedAway(Reason.DRAINING, 503, "draining", message, _RETRY)
        if self._lifecycle.session_count >= self._max_sessions:
            self._metrics.limit_hit(Limit.SESSIONS)
            message = (
                f"This gateway holds its {self._max_sessions} sessions already. Try again later, or raise `gateway.maxSessionsPerPod`."
            )
            raise TurnedAway(Reason.LIMIT, 503, "session_limit_reached", message, _RETRY)
        if admission.secret_id is not None and self._sessions_by_secret[admission.secret_id] >= SESSIONS_OF_A_SECRET:
            self._metrics.limit_hit(Limit.SECRET_SESSIONS)
            message = f"This client secret has {SESSIONS_OF_A_SECRET} sessions already; end one, or ask for another secret."
            raise TurnedAway(Reason.LIMIT, 429, "session_limit_reached", message, _RETRY)
        admission.policy.apply(admission.policy.defaults(), wishes_of(request))
        # Last, so that a plain GET tells a client whose library hides it why its handshake was refused.
        if not web.WebSocketResponse(protocols=offered_protocols(request)).can_prepare(request):
            raise TurnedAway(
                Reason.UPGRADE,
                426,
                "upgrade_required",
                "This is a WebSocket endpoint: connect with ws:// or wss://, by a WebSocket client.",
                {"Upgrade": "websocket"},
            )

    @contextmanager
    def _counted(self, secret_id: str | None) -> Iterator[None]:
        if secret_id is None:
            yield
            return
        self._sessions_by_secret[secret_id] += 1
        try:
            yield
        finally:
            self._sessions_by_secret[secret_id] -= 1
            if not self._sessions_by_secret[secret_id]:
                del self._sessions_by_secret[secret_id]

    def _turn_away(self, turned_away: TurnedAway) -> web.Response:
        self._metrics.refused(turned_away.reason)
        return _refusal(turned_away.status, turned_away.code, turned_away.message, turned_away.headers)


def wishes_of(request: web.Request) -> SessionPatch:
    """Return what a handshake asks for: a model, or `intent=transcription`, whose model is always the integration's own."""
    if request.query.get("intent") == "transcription":
        return SessionPatch(type=SessionType.TRANSCRIPTION)
    return SessionPatch(model=request.query.get("model") or UNSET)


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve `app` while the context lasts; yields the bound port. Raises OSError if the port can't be bound."""
    served = runner(app, shutdown_seconds=1.0)
    await served.setup()
    try:
        site = web.TCPSite(served, host, port, ssl_context=tls)
        await site.start()
        yield served.addresses[0][1]
    finally:
        await served.cleanup()


_RETRY = {"Retry-After": "1"}


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None, param: str | None = None) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"type": kind, "code": code, "message": message, "param": param}}
    return web.json_response(body, status=status, headers=headers)
