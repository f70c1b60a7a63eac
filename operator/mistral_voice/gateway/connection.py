"""One client's connection: its WebSocket, its session, its streams, bound together by one task group."""

import asyncio
import contextlib
import logging
import secrets
import string
from collections import deque
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType

from mistral_voice.gateway.client_limits import ClientLimits, ClientMeter
from mistral_voice.gateway.client_reader import ClientReader
from mistral_voice.gateway.client_socket import ClientSocket
from mistral_voice.gateway.hearing import Hearing
from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.metrics import GatewayMetrics
from mistral_voice.gateway.outbound import Outbound, SlowConsumerError
from mistral_voice.gateway.protocol.client_events import BadEventError
from mistral_voice.gateway.protocol.server_events import EventWriter
from mistral_voice.gateway.session import commands
from mistral_voice.gateway.session.commands import EndReason, EndSession
from mistral_voice.gateway.session.config import SessionPatch
from mistral_voice.gateway.session.core import Session
from mistral_voice.gateway.session.events import ErrorOccurred
from mistral_voice.gateway.session.inputs import AppendAudio, ClientIdle, Drain, Input, Tick
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.gateway.session.policy import SessionPolicy
from mistral_voice.gateway.session_trace import SessionTrace
from mistral_voice.gateway.tracing import Tracer
from mistral_voice.gateway.upstream.replier import Replier
from mistral_voice.gateway.upstream.speaker import Speaker
from mistral_voice.gateway.upstream.speech_sockets import SpeechSockets
from mistral_voice.gateway.upstream.transcriber import Transcriber
from mistral_voice.gateway.vad.engine import VadEngine
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.close_reason import close_reason
from mistral_voice.runtime.logs import fields

_ID_CHARACTERS = string.ascii_letters + string.digits
_TICK_TOLERANCE_MS = 1.0
_UNREAD = (EndReason.SLOW_CONSUMER, EndReason.CLIENT_CLOSED, EndReason.MESSAGE_TOO_BIG)
"""After such an end the client reads nothing more."""
_LAST_WRITES_SECONDS = 5.0
"""How long a client may take to read the last messages of its session."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What all sessions of a gateway share."""

    client: StreamClient
    engine: VadEngine
    speech: SpeechSockets
    metrics: GatewayMetrics
    limits: ClientLimits
    clock: Clock
    tracer: Tracer | None = None


class Connection:
    """Drives a session: the client's messages, the streams' findings and the clock go in; what comes out is sent or done."""

    def __init__(self, socket: ClientSocket, surroundings: Surroundings, policy: SessionPolicy, session_id: str) -> None:
        self.session_id = session_id
        self._socket = socket
        self._policy = policy
        self._client = surroundings.client
        self._engine = surroundings.engine
        self._speech = surroundings.speech
        self._metrics = surroundings.metrics
        self._limits = surroundings.limits
        self._now_ms = surroundings.clock.now_ms
        self._meter = ClientMeter(surroundings.limits, self._now_ms())
        self._session = Session(
            self.session_id,
            policy,
            new_id,
            now_ms=self._now_ms(),
            expires_at=int(surroundings.clock.wall()) + policy.max_duration_ms // 1000,
        )
        self._writer = EventWriter(self.session_id.removeprefix("sess_")[:8] + "_")
        self._outbound = Outbound(self._write)
        self._inbox: deque[Input] = deque()
        self._handling = False
        self._is_writing = False
        self._tick: asyncio.TimerHandle | None = None
        self._tick_ms = 0.0
        self._idle_check: asyncio.TimerHandle | None = None
        self._last_sent = 0.0
        self._chat_model = policy.model
        self._trace = None if surroundings.tracer is None else SessionTrace(surroundings.tracer, policy.model)
        self._end: EndSession | None = None
        self._ended = asyncio.Event()
        self._hearing: Hearing
        self._reader: ClientReader
        self._replier: Replier
        self._speaker: Speaker

    async def run(self, wishes: SessionPatch, transport: asyncio.WriteTransport | None) -> EndReason:
        """Hold the session until it ends; returns why it did. Raises Refused if what the client wishes for can't be had."""
        first = self._session.start(wishes)
        _log.info("A session begins.", extra=fields(session=self.session_id))
        try:
            async with asyncio.TaskGroup() as tasks:
                self._connect_streams(tasks)
                self._act_on(first)
                self._set_tick()
                if self._limits.idle_seconds:
                    self._check_idle()
                writing = tasks.create_task(self._outbound.run())
                reading = tasks.create_task(self._read())
                await self._until_ended()
                reading.cancel()
                await self._finish_writing(writing)
                raise _SessionOverError
        except ExceptionGroup as errors:
            _, unforeseen = errors.split(_SessionOverError)
            if unforeseen is not None:
                _log.error("A session broke.", exc_info=unforeseen, extra=fields(session=self.session_id))
                self._end = EndSession(WSCloseCode.INTERNAL_ERROR, EndReason.ERROR, "The gateway made an error.")
        finally:
            for timer in (self._tick, self._idle_check):
                if timer is not None:
                    timer.cancel()
            self._hearing.close()
        end = self._end or EndSession(WSCloseCode.GOING_AWAY, EndReason.ERROR, "")
        if self._trace is not None:
            self._trace.end(end.reason)
        await self._close(end, transport)
        _log.info("A session ended.", extra=fields(session=self.session_id, reason=end.reason.value))
        return end.reason

    @property
    def is_calm(self) -> bool:
        """Whether neither a turn nor a reply is under way."""
        return self._session.is_calm

    @property
    def chat_model(self) -> str:
        """The model that wrote the last reply, or would write the first."""
        return self._chat_model

    def drain(self, within_seconds: float) -> None:
        """Ask the session to finish its turn within this time, and end."""
        self.take(Drain(within_seconds * 1000))

    def take(self, event: Input) -> None:
        """Let the session have an input, after those that it is still busy with."""
        if self._end is not None:
            return  # What still comes of its streams could start tasks that nobody awaits.
        self._inbox.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            self._handle_inbox()
        except Exception as error:  # noqa: BLE001 - who hands the input in may work for all sessions
            self._break(error)
        finally:
            self._handling = False

    def take_audio(self, audio: bytes, now_ms: float) -> None:
        """As `take`, for audio: fifty times a second."""
        if self._handling or self._end is not None:
            self.take(AppendAudio(audio))
            return
        self._handling = True
        try:
            heard = self._session.hear(audio, now_ms)
            if heard is None:
                self._inbox.append(AppendAudio(audio))
            elif heard:
                self._hearing.hear(heard)
            if self._inbox:
                self._handle_inbox()
        except Exception as error:  # noqa: BLE001 - as in `take`
            self._break(error)
        finally:
            self._handling = False

    def _handle_inbox(self) -> None:
        while self._inbox and self._end is None:
            event = self._inbox.popleft()
            if self._trace is not None:
                self._trace.took(event)
            self._act_on(self._session.handle(event, self._now_ms()))
        self._set_tick()

    def _break(self, error: Exception) -> None:
        """End the session for an error of ours."""
        if self._end is None:
            _log.error("A session broke.", exc_info=error, extra=fields(session=self.session_id))
            self._end_with(EndSession(WSCloseCode.INTERNAL_ERROR, EndReason.ERROR, "The gateway made an error."))

    async def _until_ended(self) -> None:
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            # The task group is ending too: what still comes of the streams would have it start tasks.
            self._end_with(EndSession(WSCloseCode.GOING_AWAY, EndReason.ERROR, ""))
            raise

    def _connect_streams(self, tasks: asyncio.TaskGroup) -> None:
        spawn, metrics = tasks.create_task, self._metrics
        transcriber = Transcriber(self._client, self._policy.transcription_model, self.take, spawn, metrics)
        self._hearing = Hearing(self._engine, transcriber, self.take, self._break)
        self._reader = ClientReader(
            self._socket,
            self._meter,
            self._hearing,
            self.take,
            self.take_audio,
            self._complain,
            self._outbound,
            metrics,
            self._now_ms,
            self._limits.message_bytes,
        )
        self._replier = Replier(self._client, self.take, spawn, metrics)
        self._speaker = Speaker(self._speech, self.take, spawn, metrics)

    def _act_on(self, outputs: list[Output]) -> None:
        for output in outputs:
            if self._trace is not None:
                self._trace.made(output)
            match output:
                case commands.Hear(audio=audio):
                    self._hearing.hear(audio)
                case commands.Detect():
                    self._hearing.detect(output)
                case commands.Guard(guarded=guarded):
                    self._hearing.guard(guarded)
                case commands.StartTurn():
                    self._hearing.start_turn(output)
                case commands.RetryTurn(item_id=item_id):
                    self._hearing.retry_turn(item_id)
                case commands.FinishTurn():
                    self._hearing.finish_turn(output)
                case commands.DropTurn(item_id=item_id):
                    self._hearing.drop_turn(item_id)
                case commands.PrepareSpeech(voice=voice, response_id=response_id):
                    self._speaker.prepare(voice, response_id)
                case commands.StartReply(response_id=response_id, request=request):
                    self._chat_model = request.model
                    self._replier.start(response_id, request)
                case commands.Speculate(reply_id=reply_id, request=request):
                    self._replier.start(reply_id, request)
                case commands.DropSpeculation(reply_id=reply_id):
                    self._replier.drop(reply_id)
                case commands.Speculated(wasted=wasted):
                    self._metrics.speculated(wasted, self._chat_model)
                case commands.Speak():
                    self._speaker.speak(output)
                case commands.FinishSpeech(response_id=response_id):
                    self._speaker.finish(response_id)
                case commands.DropReply(response_id=response_id):
                    self._replier.drop(response_id)
                    self._speaker.drop(response_id)
                case commands.BargedIn(outcome=outcome):
                    self._metrics.barged_in(outcome, self._chat_model)
                case commands.Measured(stage=stage, milliseconds=milliseconds):
                    self._metrics.measured(stage, milliseconds / 1000, self._chat_model)
                case commands.Count(happening=happening):
                    self._metrics.count(happening)
                case EndSession():
                    self._end_with(output)
                case ErrorOccurred():
                    self._tell_fault(output)
                case _:
                    self._send(self._writer.write(output))

    def _send(self, message: bytes) -> None:
        try:
            self._outbound.put(message)
        except SlowConsumerError as error:
            if self._end is None:
                self._metrics.limit_hit(Limit.OUTBOUND_BYTES)
                self._end_with(EndSession(WSCloseCode.POLICY_VIOLATION, EndReason.SLOW_CONSUMER, str(error)))

    def _end_with(self, end: EndSession) -> None:
        if self._end is None:
            self._end = end
            self._ended.set()

    def _set_tick(self) -> None:
        """See to it that a tick comes no later than the session wants it. One that comes early does no harm, so it is left as it is."""
        if self._session.has_ended or self._end is not None:
            return
        wanted_ms = self._session.deadline_ms
        if self._tick is not None:
            if self._tick_ms <= wanted_ms + _TICK_TOLERANCE_MS:
                return
            self._tick.cancel()
        self._tick_ms = wanted_ms
        self._tick = asyncio.get_running_loop().call_later(max(0.0, wanted_ms - self._now_ms()) / 1000, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        self.take(Tick())

    def _complain(self, error: BadEventError) -> None:
        self._act_on([ErrorOccurred(error.code, error.message, param=error.param, client_event_id=error.event_id)])

    def _tell_fault(self, error: ErrorOccurred) -> None:
        self._send(self._writer.write(error))
        if not self._meter.allows_fault(self._now_ms()) and self._end is None:
            self._metrics.limit_hit(Limit.FAULTS)
            message = "The client has sent too many messages that can't be used."
            self._end_with(EndSession(WSCloseCode.POLICY_VIOLATION, EndReason.TOO_MANY_FAULTS, message))

    async def _read(self) -> None:
        self._end_with(EndSession(WSCloseCode.OK, await self._reader.run(), ""))

    def _check_idle(self) -> None:
        """End the session if nothing has been exchanged for too long, else look again when that could be."""
        loop = asyncio.get_running_loop()
        left = self._limits.idle_seconds - (loop.time() - max(self._reader.last_heard, self._last_sent))
        if left > 0:
            self._idle_check = loop.call_later(left, self._check_idle)
        else:
            self._metrics.limit_hit(Limit.IDLE)
            self.take(ClientIdle())

    async def _write(self, message: bytes) -> None:
        self._is_writing = True
        with contextlib.suppress(ConnectionError):
            await self._socket.send_frame(message, WSMsgType.TEXT)
            self._last_sent = asyncio.get_running_loop().time()
            self._metrics.client_bytes.sent += len(message)
        self._is_writing = False

    async def _finish_writing(self, writing: "asyncio.Task[None]") -> None:
        self._outbound.finish()
        if self._end is not None and self._end.reason not in _UNREAD:
            await asyncio.wait({writing}, timeout=_LAST_WRITES_SECONDS)

    async def _close(self, end: EndSession, transport: asyncio.WriteTransport | None) -> None:
        if end.reason in (EndReason.CLIENT_CLOSED, EndReason.MESSAGE_TOO_BIG) or self._socket.closed:
            return
        if self._is_writing:
            # A write was given up in the middle. The client doesn't read, so it would not read a close frame either.
            if transport is not None:
                transport.abort()
            return
        await self._socket.close(code=end.close_code, message=close_reason(end.message))


class _SessionOverError(Exception):
    """Ends the task group, and with it all that still runs for the session."""


def new_id(prefix: str) -> str:
    """Return an id as the protocol's clients know them: a prefix and 20 random characters."""
    return f"{prefix}_" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(20))
