"""The session's state machine: an input and the time go in, events for the client and commands for the surroundings come out.

The rules it keeps, whatever the order of its inputs:

- every response that is created is done exactly once, and each of its parts is begun and ended exactly once, in the protocol's order;
- at most one response is live;
- what belongs to a turn or a reply that has ended is ignored;
- a refused event changes nothing.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.commands import EndReason, EndSession
from mistral_voice.gateway.session.config import SessionPatch, SessionType
from mistral_voice.gateway.session.context import Context, NewId
from mistral_voice.gateway.session.conversation import Conversation
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.events import ErrorOccurred, SessionCreated, SessionUpdated, SessionView
from mistral_voice.gateway.session.idle import Idle, idle_timeout_ms
from mistral_voice.gateway.session.item_requests import ItemRequests
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.gateway.session.policy import SessionPolicy
from mistral_voice.gateway.session.replies import Replies
from mistral_voice.gateway.session.turns import Turns

TURN_GRACE_MS = 20_000.0
"""How long a session whose time is over may take to finish its turn."""
_ENDS_WITH_ERROR = {EndReason.EXPIRED: "session_expired", EndReason.IDLE: "session_idle"}
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001


class Ending(Struct, frozen=True):
    """The session is to end once its turn is finished, at the latest at `latest_ms`."""

    reason: EndReason
    close_code: int
    message: str
    latest_ms: float


class Session:
    """One conversation with one client. `expires_at` in seconds since 1970, for the client to know; `now_ms` is any monotonic time."""

    def __init__(self, session_id: str, policy: SessionPolicy, new_id: NewId, now_ms: float, expires_at: int) -> None:
        self._id = session_id
        self._expires_at = expires_at
        self._expires_ms = now_ms + policy.max_duration_ms
        self._expires_with = "The session has reached its maximum duration."
        self._expires_within_ms = TURN_GRACE_MS
        self._deadline_ms = self._expires_ms
        self._context = Context(policy, Conversation(new_id("conv")), new_id, now_ms)
        self._turns = Turns(self._context)
        self._replies = Replies(self._context, cache_key=session_id)
        self._items = ItemRequests(self._context, self._replies)
        self._idle = Idle()
        self._ending: Ending | None = None
        self._ended = False
        self._handlers = self._handler_table()

    def start(self, wishes: SessionPatch | None = None) -> list[Output]:
        """Begin, with what the client wished for when it connected. Raises Refused if the integration doesn't offer it."""
        self._context.config = self._context.policy.apply(self._context.config, wishes or SessionPatch())
        self._context.outbox.put(SessionCreated(self._view()))
        self._turns.detect(self._context.config.turn_detection)
        return self._context.outbox.take()

    def handle(self, event: inputs.Input, now_ms: float) -> list[Output]:
        """Take one input; return what is to be said and done, in order. After the session's end nothing comes any more."""
        if self._ended:
            return []
        context = self._context
        context.now_ms = now_ms
        try:
            self._handlers[type(event)](event)
        except Refused as refusal:
            client_event_id = getattr(event, "event_id", None)
            context.outbox.put(ErrorOccurred(refusal.code, refusal.message, param=refusal.param, client_event_id=client_event_id))
        # As long as no time is up, audio changes nothing but the audio, and sets no deadline.
        if type(event) is not inputs.AppendAudio or now_ms >= self._deadline_ms:
            self._settle()
            self._deadline_ms = self._next_deadline_ms()
        return context.outbox.take()

    def hear(self, audio: bytes, now_ms: float) -> bytes | None:
        """Take audio; return what of it there is to hear, or None if `handle` has to take it, since there is more to do.

        As a rule, there isn't: fifty times a second each caller sends audio.
        """
        if self._ended or now_ms >= self._deadline_ms:
            return None
        self._context.now_ms = now_ms
        return self._turns.hear(audio, accepting=self._ending is None)

    @property
    def deadline_ms(self) -> float:
        """When the session wants a `Tick`, on the clock of `now_ms`."""
        return self._deadline_ms

    def _next_deadline_ms(self) -> float:
        ends_ms = self._ending.latest_ms if self._ending else self._expires_ms
        deadlines = (self._turns.deadline_ms, self._replies.deadline_ms, self._idle_deadline_ms)
        return min(ends_ms, *(at for at in deadlines if at is not None), ends_ms)

    @property
    def is_calm(self) -> bool:
        """Whether neither a turn nor a reply is under way."""
        return not self._is_busy

    @property
    def has_ended(self) -> bool:
        """Whether the session is over."""
        return self._ended

    def _settle(self) -> None:
        now_ms = self._context.now_ms
        self._turns.expire()
        self._react_to_turns()
        if self._ending is None and now_ms >= self._expires_ms:
            self._end_soon(EndReason.EXPIRED, NORMAL_CLOSURE, self._expires_with, self._expires_within_ms)
        self._mind_silence()
        if self._ending is not None and (not self._is_busy or now_ms >= self._ending.latest_ms):
            self._end(self._ending)

    def _mind_silence(self) -> None:
        self._idle.watch(self._context.now_ms, is_busy=self._is_busy)
        deadline_ms = self._idle_deadline_ms
        if deadline_ms is not None and deadline_ms <= self._context.now_ms:
            self._turns.commit_silence(idle_timeout_ms(self._context.config) or 0)
            self._replies.caller_is_silent()
            self._react_to_turns()
            self._idle.watch(self._context.now_ms, is_busy=self._is_busy)

    @property
    def _idle_deadline_ms(self) -> float | None:
        if self._ending is not None or not self._replies.has_answered:
            return None
        return self._idle.deadline_ms(self._context.config, self._replies.plays_until_ms)

    def _react_to_turns(self) -> None:
        finished, self._turns.finished = self._turns.finished, []
        for turn in finished:
            self._replies.turn_finished(turn)
        turns = self._turns
        self._replies.advance(caller_speaks=turns.is_speaking, awaits_transcript=turns.awaits_transcript, presumed=turns.presumed)

    @property
    def _is_busy(self) -> bool:
        return self._turns.is_open or self._turns.awaits_transcript or self._replies.is_live or self._replies.is_owed

    def _end_soon(self, reason: EndReason, close_code: int, message: str, within_ms: float = TURN_GRACE_MS) -> None:
        latest_ms = self._context.now_ms + within_ms
        if self._ending is None:
            self._ending = Ending(reason, close_code, message, latest_ms)
        elif latest_ms < self._ending.latest_ms:
            self._ending = structs.replace(self._ending, latest_ms=latest_ms)

    def _drain(self, event: inputs.Drain) -> None:
        self._end_soon(EndReason.DRAINED, GOING_AWAY, "The gateway is being stopped; connect again.", event.within_ms)

    def _ends_earlier(self, event: inputs.EndsEarlier) -> None:
        ends_ms = self._context.now_ms + event.in_ms
        if self._ending is None and ends_ms < self._expires_ms:
            self._expires_ms, self._expires_at = ends_ms, event.expires_at
            self._expires_with, self._expires_within_ms = event.message, event.within_ms
            self._context.outbox.put(SessionUpdated(self._view()))

    def _end(self, ending: Ending) -> None:
        self._turns.drop()
        self._replies.drop()
        if ending.reason in _ENDS_WITH_ERROR:
            self._context.outbox.put(ErrorOccurred(_ENDS_WITH_ERROR[ending.reason], ending.message))
        self._context.outbox.put(EndSession(ending.close_code, ending.reason, ending.message))
        self._ended = True

    def _view(self) -> SessionView:
        return SessionView(self._id, self._context.config, self._expires_at, self._context.policy.transcription_model)

    def _update(self, event: inputs.UpdateSession) -> None:
        context = self._context
        before = context.config
        after = context.policy.apply(before, event.patch)
        if after.type is not before.type and (context.conversation.has_begun or self._replies.has_begun or self._is_busy):
            raise Refused("cannot_update_type", "The type can't change once the session has begun; open another session.", "session.type")
        if self._replies.voice_is_fixed and after.voice != before.voice:
            message = "The voice can't change once the assistant has spoken in this session."
            raise Refused("cannot_update_voice", message, "session.audio.output.voice")
        if after.input_format is not before.input_format:
            self._turns.change_format(after.input_format)
        context.config = after
        context.outbox.put(SessionUpdated(self._view()))
        if (after.turn_detection, after.input_format) != (before.turn_detection, before.input_format):
            self._turns.detect(after.turn_detection)

    def _create_response(self, event: inputs.CreateResponse) -> None:
        if self._context.config.type is SessionType.TRANSCRIPTION:
            raise Refused("not_available", "This is a transcription session: it gives no responses.", "type")
        self._replies.create(event.options)

    def _voice_suspected(self, event: inputs.VoiceSuspected) -> None:
        if self._may_interrupt and self._turns.is_open_to(event.epoch):
            self._replies.withhold()

    def _voice_dismissed(self, event: inputs.VoiceDismissed) -> None:
        if self._turns.is_open_to(event.epoch):
            self._replies.go_on()

    def _voice_started(self, event: inputs.VoiceStarted) -> None:
        if self._ending is not None and not self._turns.is_open:
            return
        if self._turns.voice_started(event, self._replies.being_heard()) and self._may_interrupt:
            self._replies.interrupt()

    @property
    def _may_interrupt(self) -> bool:
        settings = self._context.config.turn_detection
        return settings is not None and settings.interrupt_response and (self._ending is None or self._turns.is_open)

    def _clear(self, _: inputs.ClearAudio) -> None:
        self._turns.clear()
        self._replies.caller_withdrew()

    def _handler_table(self) -> dict[type, Callable[[Any], None]]:
        turns, replies, items = self._turns, self._replies, self._items
        return {
            inputs.UpdateSession: self._update,
            inputs.AppendAudio: lambda event: turns.append(event, accepting=self._ending is None),
            inputs.CommitAudio: lambda _: turns.commit(),
            inputs.ClearAudio: self._clear,
            inputs.CreateItem: items.create,
            inputs.DeleteItem: items.delete,
            inputs.RetrieveItem: items.retrieve,
            inputs.TruncateItem: items.truncate,
            inputs.CreateResponse: self._create_response,
            inputs.CancelResponse: lambda event: replies.cancel(event.response_id),
            inputs.VoiceSuspected: self._voice_suspected,
            inputs.VoiceDismissed: self._voice_dismissed,
            inputs.VoiceStarted: self._voice_started,
            inputs.VoiceStopped: turns.voice_stopped,
            inputs.TurnEvent: turns.turn_event,
            inputs.TurnEventsMissing: turns.turn_events_missing,
            inputs.TranscriptDelta: turns.transcript_delta,
            inputs.TranscriptRestarted: turns.transcript_restarted,
            inputs.TranscriptDone: turns.transcript_done,
            inputs.TranscriptFailed: turns.transcript_failed,
            inputs.ReplyText: replies.reply_piece,
            inputs.ReplyCall: replies.reply_piece,
            inputs.ReplyFinished: replies.reply_piece,
            inputs.ReplyFailed: replies.reply_piece,
            inputs.SpeechAudio: replies.speech_audio,
            inputs.SpeechFinished: replies.speech_finished,
            inputs.SpeechFailed: replies.speech_failed,
            inputs.Tick: lambda _: None,
            inputs.ClientIdle: lambda _: self._end_soon(EndReason.IDLE, NORMAL_CLOSURE, "Nothing was said or sent for too long."),
            inputs.Drain: self._drain,
            inputs.EndsEarlier: self._ends_earlier,
        }
