"""The four kinds of calls that a session makes. Nothing else gets through, and of what a gateway sends only what was understood.

Headers are made here: none of the gateway's goes on, so none can say where to. Hosts are those of the key's region. Redirects are not
followed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

from mistral_voice.broker.allowance import Rate, Room
from mistral_voice.broker.answers import ChatStream, WithoutKey, outcome_of, status_of_event, without
from mistral_voice.broker.bodies import SpeechMessages, TranscriptionMessages, chat_request, speech_request
from mistral_voice.broker.keys import KeyReports
from mistral_voice.broker.metering import ChatMeter, SpeechMeter
from mistral_voice.broker.metrics import BrokerMetrics
from mistral_voice.broker.refused_call import LostCallError, RefusedCallError, malformed, not_authorized, not_in_plan
from mistral_voice.broker.session import BrokerSession, Sessions
from mistral_voice.broker.tickets import TicketError, Tickets
from mistral_voice.contract.lease import KeyOutcome
from mistral_voice.mistral.stream import chat, speech, speech_http, transcription
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.close_reason import close_reason

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
BODIES_BYTES: Final = 256 * 1024 * 1024
"""Bodies of all sessions together."""
BODIES_OF_NAMESPACE_BYTES: Final = 64 * 1024 * 1024
CALLS_A_SECOND: Final = 2.0
CALLS_AT_ONCE: Final = 60
"""So many calls a session may make in one burst, then `CALLS_A_SECOND`: nobody talks that fast, and Mistral's limit is shared."""
BODY_SECONDS: Final = 10.0
"""A gateway sends a body within so long: nobody takes room by not going on."""
MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_ANSWER_MESSAGE_BYTES: Final = 8 * 1024 * 1024
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 60.0
PING_SECONDS: Final = 20.0
_SOCKET_TIMEOUT: Final = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=0.5)
_SENDABLE: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


class Messages(Protocol):
    """Counts what a gateway sends on a socket."""

    def passed(self, frame: bytes) -> bytes:
        """Return a message as it goes on. Raises RefusedCallError."""


@dataclass(frozen=True)
class Calls:
    """Answers the calls. `http` and `sockets` are the ways to Mistral, kept apart so that no socket takes a connection that a request left.

    With `any_address` a ticket may be shown from elsewhere than its line.
    """

    http: aiohttp.ClientSession
    sockets: aiohttp.ClientSession
    tickets: Tickets
    sessions: Sessions
    reports: KeyReports
    metrics: BrokerMetrics
    clock: Clock
    any_address: bool = False
    pace: Rate = field(default_factory=lambda: Rate(time.monotonic, CALLS_A_SECOND, CALLS_AT_ONCE))
    bodies: Room = field(default_factory=lambda: Room(BODIES_BYTES, BODIES_OF_NAMESPACE_BYTES))

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve the known paths."""
        router.add_get(transcription.PATH, self._answering(self._transcribe), allow_head=False)
        router.add_get(speech.PATH, self._answering(self._speak), allow_head=False)
        router.add_post(speech_http.PATH, self._answering(self._speak_once))
        router.add_post(chat.PATH, self._answering(self._complete))

    def _answering(
        self, call: Callable[[web.Request, BrokerSession], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                session = self._session_of(request)
                with session.call():
                    return await call(request, session)
            except RefusedCallError as refused:
                self.metrics.turned_away(refused.reason)
                return refused.answer()

        return answer

    def _session_of(self, request: web.Request) -> BrokerSession:
        """Return whose call it is: by its ticket alone, which must be of a line that stands, and come from where the line comes from."""
        given = request.headers.getall("Authorization", [])
        scheme, _, ticket = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not ticket:
            raise not_authorized("Show the session's ticket.")
        try:
            claims = self.tickets.check(ticket.strip(), self.clock.wall())
        except TicketError as error:
            raise not_authorized(str(error)) from None
        session = self.sessions.get(claims.line)
        if session is None or session.is_over or not session.fits(claims):
            raise not_authorized("The ticket's session is over here.")
        if not self.any_address and request.remote != session.address:
            raise not_authorized("The ticket was given to another pod.")
        if not session.has_room:
            raise RefusedCallError(429, "calls", "The session makes too many calls at once.", "1")
        if not self.pace.allows(f"{session.entitlement.namespace}/{session.opened.session}"):
            raise RefusedCallError(429, "calls", f"The session makes more than {CALLS_A_SECOND:g} calls a second.", "1")
        return session

    async def _complete(self, request: web.Request, session: BrokerSession) -> web.StreamResponse:
        with self._room_for(request, session):
            body, model, meter = chat_request(await _body(request), session.entitlement, session.meter)
            return await self._stream(request, session, chat.PATH, body, model, meter)

    async def _speak_once(self, request: web.Request, session: BrokerSession) -> web.StreamResponse:
        with self._room_for(request, session):
            body, model, meter = speech_request(await _body(request), session.entitlement, session.meter)
            return await self._stream(request, session, speech_http.PATH, body, model, meter)

    @contextmanager
    def _room_for(self, request: web.Request, session: BrokerSession) -> Iterator[None]:
        size = MAX_BODY_BYTES if request.content_length is None else min(request.content_length, MAX_BODY_BYTES)
        with self.bodies.taken(session.entitlement.namespace, size) as fits:
            if not fits:
                raise RefusedCallError(503, "calls", "This broker holds too many requests at the moment.", "1")
            yield

    async def _stream(
        self, request: web.Request, session: BrokerSession, path: str, body: bytes, model: str, meter: ChatMeter | SpeechMeter
    ) -> web.StreamResponse:
        _check_query(request, ())
        is_used = True
        try:
            async with self._posted(session, path, body, model) as upstream:
                answer = web.StreamResponse(headers={"Content-Type": _content_type(upstream), "Cache-Control": "no-store"})
                await answer.prepare(request)
                scan = ChatStream(meter) if isinstance(meter, ChatMeter) else None
                struck = WithoutKey(session.key.value)
                async for chunk in upstream.content.iter_any():
                    if scan is not None:
                        scan.passed(chunk)
                    if going := struck.passed(chunk):
                        await answer.write(going)
                if scan is not None:
                    scan.end()
                await answer.write_eof(struck.end())
                return answer
        except LostCallError:
            raise
        except RefusedCallError:
            is_used = False
            raise
        finally:
            if is_used:
                meter.close()

    @asynccontextmanager
    async def _posted(self, session: BrokerSession, path: str, body: bytes, model: str) -> AsyncIterator[aiohttp.ClientResponse]:
        key = session.key
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        headers = {
            "Authorization": f"Bearer {key.value.reveal()}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }
        try:
            upstream = await self.http.post(key.base_url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise self._unreachable(session, model) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.metrics.called(session.entitlement.plan, model, "unreachable")
            raise LostCallError(502, "upstream", "Mistral gave no answer.") from None
        async with upstream:
            if upstream.status != 200:
                raise self._refusal(session, model, upstream.status, upstream.headers.get("Retry-After"))
            self._saw(session, model, 200)
            try:
                yield upstream
            except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError) as error:
                # Either side broke in the middle: cut the other off, so that nobody takes a part for the whole.
                raise ConnectionResetError("The stream broke in the middle.") from error

    async def _transcribe(self, request: web.Request, session: BrokerSession) -> web.StreamResponse:
        model = _check_query(request, ("model",))["model"]
        if model not in session.entitlement.transcription:
            raise not_in_plan("transcription model", model)
        return await self._relay(request, session, transcription.PATH, model, TranscriptionMessages(session.meter, model))

    async def _speak(self, request: web.Request, session: BrokerSession) -> web.StreamResponse:
        model = _check_query(request, ("model",))["model"]
        if model not in session.entitlement.speech:
            raise not_in_plan("speech model", model)
        return await self._relay(request, session, speech.PATH, model, SpeechMessages(session.meter, model, session.entitlement))

    async def _relay(
        self, request: web.Request, session: BrokerSession, path: str, model: str, messages: Messages
    ) -> web.WebSocketResponse[bool]:
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(
            compress=False, max_msg_size=MAX_MESSAGE_BYTES, heartbeat=PING_SECONDS, timeout=1.0, decode_text=False
        )
        if not socket.can_prepare(request):
            raise RefusedCallError(426, "malformed", "This is a WebSocket endpoint.")
        upstream = await self._connected(session, f"{path}?model={quote(model, safe='')}", model)
        try:
            await socket.prepare(request)
            await self._both_ways(session, model, socket, upstream, messages)
        finally:
            await upstream.close()
        return socket

    async def _connected(self, session: BrokerSession, path: str, model: str) -> aiohttp.ClientWebSocketResponse[bool]:
        key = session.key
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                upstream = await self.sockets.ws_connect(
                    "ws" + key.base_url.removeprefix("http") + path,
                    headers={"Authorization": f"Bearer {key.value.reveal()}"},
                    max_msg_size=MAX_ANSWER_MESSAGE_BYTES,
                    decode_text=False,
                    timeout=_SOCKET_TIMEOUT,
                )
        except aiohttp.WSServerHandshakeError as error:
            retry_after = error.headers.get("Retry-After") if error.headers is not None else None
            raise self._refusal(session, model, error.status, retry_after) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise self._unreachable(session, model) from None
        self._saw(session, model, 200)
        return upstream

    async def _both_ways(
        self,
        session: BrokerSession,
        model: str,
        socket: web.WebSocketResponse[bool],
        upstream: aiohttp.ClientWebSocketResponse[bool],
        messages: Messages,
    ) -> None:
        ways = [asyncio.create_task(_up(socket, upstream, messages)), asyncio.create_task(self._down(session, model, socket, upstream))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                if way.done():
                    way.result()
        except RefusedCallError as refused:
            self.metrics.turned_away(refused.reason)
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=close_reason(refused.message))
        except (ConnectionError, aiohttp.ClientError):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _down(
        self,
        session: BrokerSession,
        model: str,
        socket: web.WebSocketResponse[bool],
        upstream: aiohttp.ClientWebSocketResponse[bool],
    ) -> None:
        key = session.key.value
        while True:
            message = await upstream.receive()
            if message.type is not WSMsgType.TEXT:
                code = upstream.close_code if upstream.close_code in _SENDABLE else WSCloseCode.INTERNAL_ERROR
                said = (message.extra or "") if message.type is WSMsgType.CLOSE else ""
                reason = close_reason(without(key, said.encode()).decode())
                await socket.close(code=code or WSCloseCode.INTERNAL_ERROR, message=reason)
                return
            data: bytes = message.data
            status = status_of_event(data)
            if status is not None:
                self._saw(session, model, status)
            await socket.send_frame(without(key, data), WSMsgType.TEXT)

    def _refusal(self, session: BrokerSession, model: str, status: int, retry_after: str | None) -> RefusedCallError:
        """Return Mistral's refusal: its status and its word on when to come back, and nothing else of what it said."""
        self._saw(session, model, status, retry_after)
        if status < 400:
            return RefusedCallError(502, "upstream", "Mistral answered as it never does: a proxy may stand between.")
        wait = retry_after if retry_after is not None and retry_after.isascii() and retry_after.isprintable() else None
        return RefusedCallError(status, "upstream", f"Mistral refused the request ({status}).", wait)

    def _unreachable(self, session: BrokerSession, model: str) -> RefusedCallError:
        self.metrics.called(session.entitlement.plan, model, "unreachable")
        return RefusedCallError(502, "upstream", "Mistral can't be reached.")

    def _saw(self, session: BrokerSession, model: str, status: int, retry_after: str | None = None) -> None:
        self.metrics.called(session.entitlement.plan, model, "ok" if status == 200 else str(status))
        outcome = outcome_of(status)
        if outcome is None:
            return
        seconds = min(3600, int(retry_after)) if retry_after is not None and retry_after.isdecimal() and len(retry_after) < 10 else None
        key = session.key
        self.reports.add(key.reference, key.generation, outcome, retry_after_seconds=seconds)
        if outcome in (KeyOutcome.REFUSED, KeyOutcome.BILLING):
            session.moves.set()


async def _up(socket: web.WebSocketResponse[bool], upstream: aiohttp.ClientWebSocketResponse[bool], messages: Messages) -> None:
    while True:
        message = await socket.receive()
        if message.type is WSMsgType.BINARY:
            raise malformed("Messages are texts here.")
        if message.type is not WSMsgType.TEXT:
            return
        await upstream.send_frame(messages.passed(message.data), WSMsgType.TEXT)


def _check_query(request: web.Request, wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the query, which must have just these names, each once."""
    if sorted(name for name, _ in request.query.items()) != sorted(wanted):
        raise malformed("The query must name the model, once, and nothing else." if wanted else "There is no query here.")
    return dict(request.query)


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise RefusedCallError(415, "malformed", "The body must be JSON.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise RefusedCallError(408, "malformed", f"The body must be there within {BODY_SECONDS:g} s.") from None
    except web.HTTPRequestEntityTooLarge:
        raise RefusedCallError(413, "malformed", f"The body may have {MAX_BODY_BYTES} bytes.") from None


def _content_type(upstream: aiohttp.ClientResponse) -> str:
    return upstream.content_type if upstream.content_type in ("text/event-stream", "application/json") else "application/octet-stream"
