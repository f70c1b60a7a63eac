"""A session's line to a broker: it is opened before the session begins, and while it stands the session's calls have a way to Mistral."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec
from aiohttp import WSMsgType
from msgspec import structs
from yarl import URL

from mistral_voice.contract.lease import (
    SESSION_LINE_PATH,
    Ends,
    FromBroker,
    MessageError,
    Moving,
    Open,
    Opened,
    Refusal,
    RefusalReason,
    Ticket,
    decode,
)
from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.session.errors import GatewayError
from mistral_voice.gateway.session.inputs import EndsEarlier, Input
from mistral_voice.mistral.stream.client import Http, Route, StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.logs import fields

CONNECT_SECONDS: Final = 5.0
"""A broker has so long to take the line."""
ANSWER_SECONDS: Final = 10.0
"""A broker has so long to ask the control plane and answer."""
OPEN_ATTEMPTS: Final = 3
OPEN_PAUSE_SECONDS: Final = 0.25
RECOVERY_SECONDS: Final = 30.0
"""A session whose broker is lost looks for another so long."""
LONGEST_PAUSE_SECONDS: Final = 2.0
TURN_SECONDS: Final = 20.0
"""Time for the open turn before a session's end, as ever; less where less is left."""
LAST_WORD_SECONDS: Final = 2.0
PING_SECONDS: Final = 10.0
MAX_MESSAGE_BYTES: Final = 64 * 1024
_CALM_SECONDS: Final = 0.05

_PASSING: Final = frozenset(
    (RefusalReason.DRAINING, RefusalReason.LEDGER_UNAVAILABLE, RefusalReason.TOO_MANY_REQUESTS, RefusalReason.POOL_EXHAUSTED)
)
_log: Final = logging.getLogger(__name__)

_Socket = aiohttp.ClientWebSocketResponse[bool]


class LineRefusedError(GatewayError):
    """There is no session, or no more of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal

    @property
    def may_pass(self) -> bool:
        """Whether asking again soon may help."""
        return self.refusal.reason in _PASSING


class SessionLine:
    """The gateway's end. `open()`, then `attend()`, then `run()` as long as the session lasts, and `close()` in any case.

    `base_url` is the brokers' Service; `token` returns the pod's token for them. While it runs nothing is raised: a session that can't go
    on is told so by an input.
    """

    def __init__(self, http: Http, base_url: str, token: Callable[[], Secret], wanted: Open, clock: Clock) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._host = URL(base_url).host
        self._token = token
        self._wanted = wanted
        self._asked = wanted.epoch - 1
        self._clock = clock
        self._socket: _Socket | None = None
        self._route: Route | None = None
        self._stands = asyncio.Event()
        self._is_over = False
        self._tell: Callable[[Input], None] = lambda _: None
        self._is_calm: Callable[[], bool] = lambda: True

    @property
    def epoch(self) -> int:
        """Count the brokers that the session has had."""
        return self._wanted.epoch

    async def route(self, what: str) -> Route:
        """Wait for the way of the moment. Raises StreamError once there is none any more."""
        await self._stands.wait()
        if self._route is None:
            raise StreamError(FaultKind.FORBIDDEN, f"{what} failed: the platform's plan doesn't let the session go on.")
        return self._route

    async def open(self) -> Opened:
        """Open the line for a session that is to begin. Raises LineRefusedError."""
        for attempt in range(1, OPEN_ATTEMPTS + 1):
            try:
                return await self._dial()
            except LineRefusedError as refused:
                if attempt == OPEN_ATTEMPTS or refused.refusal.reason is not RefusalReason.DRAINING:
                    raise
            await asyncio.sleep(OPEN_PAUSE_SECONDS * attempt)
        raise AssertionError("Nobody leaves this loop.")

    def attend(self, tell: Callable[[Input], None], is_calm: Callable[[], bool]) -> None:
        """Know the session: what it is to hear, and whether it is between two turns."""
        self._tell = tell
        self._is_calm = is_calm

    async def run(self) -> None:
        """Keep the line, and find another broker when it is lost, until there is none to be had or the session's time is over."""
        while not self._is_over:
            message = await self._receive()
            match message:
                case Ticket(ticket=ticket) if self._route is not None:
                    self._route = Route(self._route.base_url, Secret(ticket), self._host)
                case Ends():
                    self._end_within(message.within_seconds, message.message)
                    await self._until_closed()
                    self._give_up()
                case Moving():
                    await self._move(message.within_seconds)
                case None:
                    await self._recover()

    async def close(self) -> None:
        """The session has ended: the broker gives its lease back."""
        self._give_up()
        if self._socket is not None:
            await self._socket.close()

    async def _dial(self) -> Opened:
        """Open a line and make it the session's. Raises LineRefusedError.

        Each attempt has an epoch of its own: that of an attempt whose answer was lost may have been granted, and is that line's for ever.
        """
        socket = await self._connected()
        self._asked += 1
        wanted = structs.replace(self._wanted, epoch=self._asked)
        opened: Opened | None = None
        try:
            await socket.send_str(msgspec.json.encode(wanted).decode())
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await _message(socket)
            if isinstance(answer, Refusal):
                raise LineRefusedError(answer)
            if not isinstance(answer, Opened):
                raise _unavailable("A broker broke the line off.")
            opened = answer
        except (TimeoutError, aiohttp.ClientError, ConnectionError, MessageError):
            raise _unavailable("A broker gave no usable answer.") from None
        finally:
            if opened is None:
                await socket.close()
        self._socket, self._wanted = socket, wanted
        self._route = Route(f"https://{opened.address}", Secret(opened.ticket), self._host)
        self._stands.set()
        return opened

    async def _connected(self) -> _Socket:
        headers = {"Authorization": f"Bearer {self._token().reveal()}"}
        timeout = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._http.sockets.ws_connect(
                    "ws" + self._base_url.removeprefix("http") + SESSION_LINE_PATH,
                    headers=headers,
                    heartbeat=PING_SECONDS,
                    max_msg_size=MAX_MESSAGE_BYTES,
                    decode_text=False,
                    timeout=timeout,
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                message = "The broker doesn't accept the gateway's identity."
                raise LineRefusedError(Refusal(RefusalReason.NOT_AUTHENTICATED, message)) from None
            if error.status == 429:
                message = "The namespace begins too many sessions in a short time."
                raise LineRefusedError(Refusal(RefusalReason.TOO_MANY_REQUESTS, message, 5)) from None
            raise _unavailable(f"A broker turned the session away ({error.status}).") from None
        except (TimeoutError, aiohttp.ClientError, OSError):
            raise _unavailable("No broker can be reached.") from None

    async def _receive(self) -> FromBroker | None:
        """Return the next message, None when the line is lost."""
        if self._socket is None:
            raise AssertionError("A line is opened first.")
        try:
            return await _message(self._socket)
        except MessageError as error:
            _log.warning("%s", error)
            await self._socket.close()
            return None

    async def _until_closed(self) -> None:
        while await self._receive() is not None:
            continue

    async def _move(self, within_seconds: float) -> None:
        """Take a line to another broker, between two turns if one ends in time."""
        latest = self._clock.monotonic() + within_seconds - LAST_WORD_SECONDS
        while not self._is_calm() and self._clock.monotonic() < latest:  # noqa: ASYNC110 - the session's core knows no events
            await asyncio.sleep(_CALM_SECONDS)
        former = self._socket
        try:
            await self._dial()
        except LineRefusedError as refused:
            # The former line stands yet. When it is lost, another is sought again.
            _log.info("The session could not move yet: %s", refused.refusal.message)
        else:
            _log.info("The session has moved to another broker.", extra=fields(session=self._wanted.session, epoch=self.epoch))
            if former is not None:
                await former.close()

    async def _recover(self) -> None:
        """The line is lost: look for another broker, which takes the lease over under the next epoch."""
        self._stands.clear()
        _log.warning("The session's broker is lost.", extra=fields(session=self._wanted.session, epoch=self.epoch))
        latest, pause = self._clock.monotonic() + RECOVERY_SECONDS, 0.05
        while True:
            try:
                await self._dial()
            except LineRefusedError as refused:
                if not refused.may_pass or self._clock.monotonic() + pause > latest:
                    self._end_within(0.0, refused.refusal.message)
                    self._give_up()
                    return
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            else:
                return

    def _end_within(self, left: float, message: str) -> None:
        """Tell the session that it must be over in `left` seconds: the last turn is to have begun some time before."""
        finishing = min(TURN_SECONDS, left / 2)
        self._tell(EndsEarlier(int(self._clock.wall() + left - finishing), (left - finishing) * 1000, finishing * 1000, message))

    def _give_up(self) -> None:
        self._is_over = True
        self._route = None
        self._stands.set()


class LineClient(StreamClient):
    """The way to Mistral of one managed session: wherever its line leads."""

    def __init__(self, http: Http, line: SessionLine, token: Callable[[], Secret], base: StreamClient) -> None:
        super().__init__(http, "", token, base.deadlines)
        self._line = line

    def generation(self) -> int:
        """Count the brokers: a socket at a former one is of no use. Tickets change more often, and matter only to new calls."""
        return self._line.epoch

    async def route(self, what: str) -> Route:
        """Wait for the line's way."""
        return await self._line.route(what)


async def _message(socket: _Socket) -> FromBroker | None:
    message = await socket.receive()
    if message.type is not WSMsgType.TEXT:
        return None
    return decode(message.data, FromBroker)  # type: ignore[arg-type]


def _unavailable(message: str) -> LineRefusedError:
    return LineRefusedError(Refusal(RefusalReason.DRAINING, message, 1))
