"""The assistant's side: at most one live reply in the conversation, begun by a turn or by the client; and some beside it, out of band."""

from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.commands import PrepareSpeech
from mistral_voice.gateway.session.config import OutputModality
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.errors import Fault, Refused
from mistral_voice.gateway.session.events import StopReason
from mistral_voice.gateway.session.heard import SpokenSegment
from mistral_voice.gateway.session.inputs import ResponseOptions
from mistral_voice.gateway.session.reply import Reply
from mistral_voice.gateway.session.reply_plan import ReplySettings, plan, request
from mistral_voice.gateway.session.speculation import PresumedTurn, ReplyPiece, Speculation, Speculator
from mistral_voice.gateway.session.turns import FinishedTurn

MAX_SPOKEN_REMEMBERED = 20
"""Spoken items whose pieces and times are kept, for a client that truncates them."""
MAX_OUT_OF_BAND = 4
"""Replies outside the conversation that may be made at once."""


class Replies:
    """The live reply, and whether another is owed: to a turn, committed at `owed_since_ms`, or to a client's request that waits.

    A client's request waits, instead of being refused, if it follows a function's result that the live reply doesn't know.
    """

    def __init__(self, context: Context, cache_key: str) -> None:
        self._context = context
        self._cache_key = cache_key
        self._speculator = Speculator(context, cache_key)
        self._live: Reply | None = None
        self._out_of_band: dict[str, Reply] = {}
        self._owed_since_ms: float | None = None
        self._queued: ReplySettings | None = None
        self._result_came = False
        self._spoken: dict[str, tuple[SpokenSegment, ...]] = {}
        self._plays_until_ms: float | None = None
        self.voice_is_fixed = False
        self.has_begun = self.has_answered = False

    @property
    def is_live(self) -> bool:
        """Whether a reply is being made, in the conversation or out of band."""
        return self._live is not None or bool(self._out_of_band)

    @property
    def is_owed(self) -> bool:
        """Whether a finished turn, or a client's request, waits for its reply."""
        return self._owed_since_ms is not None or self._queued is not None

    @property
    def deadline_ms(self) -> float | None:
        """When the clock has something for a reply."""
        deadlines = (self._speculator.deadline_ms, *(reply.deadline_ms for reply in self._all))
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def live_item_ids(self) -> tuple[str, ...]:
        """The ids of the items of the live reply."""
        return self._live.item_ids if self._live else ()

    def spoken(self, item_id: str) -> tuple[SpokenSegment, ...]:
        """Return what was said of an item, piece by piece; empty if that isn't known."""
        if self._live is not None and self._live.item_id == item_id:
            return self._live.spoken
        return self._spoken.get(item_id, ())

    def create(self, options: ResponseOptions) -> None:
        """The client asks for a reply. Raises Refused if one is live or the options can't be."""
        settings = plan(self._context, options, voice_is_fixed=self.voice_is_fixed)
        if settings.out_of_band:
            self._begin_out_of_band(settings)
        elif self._live is None:
            self._begin(settings, committed_ms=self._owed_since_ms)
        elif self._result_came and not self._live.is_waiting and self._queued is None:
            self._queued = settings
        else:
            raise Refused(
                "conversation_already_has_active_response",
                f"The conversation already has an active response: {self._live.id}. Wait until it is done, or cancel it.",
            )

    def cancel(self, response_id: str | None) -> None:
        """The client stops the live reply, or the one it names. Raises Refused if there is none."""
        reply = self._live if response_id is None else self._named(response_id)
        if reply is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: there is no active response.")
        if reply is self._live:
            self._queued = None
        reply.cancel(StopReason.CLIENT_CANCELLED)

    @property
    def plays_until_ms(self) -> float | None:
        """When the client will have played all that it was given; None if nothing is being played."""
        return self._plays_until_ms

    def caller_is_silent(self) -> None:
        """The caller has said nothing for as long as the client wished: the assistant speaks again."""
        self._owed_since_ms = self._context.now_ms

    def result_came(self) -> None:
        """The client has added a function's result."""
        self._result_came = True

    def interrupt(self) -> None:
        """The caller speaks: the live reply stops."""
        if self._live is not None:
            self._live.cancel(StopReason.TURN_DETECTED)

    def drop(self) -> None:
        """The session ends: all replies stop."""
        self._owed_since_ms = self._queued = None
        self._speculator.drop()
        for reply in self._all:
            reply.cancel(None)

    def turn_finished(self, turn: FinishedTurn) -> None:
        """A turn's words are known: it may be owed a reply. A turn without words is owed none; one whose words got lost is told so."""
        if turn.fault is not None:
            self._fail_for(turn, turn.fault)
        elif turn.replies and turn.text:
            self._owed_since_ms = turn.committed_ms

    def advance(self, *, caller_speaks: bool, awaits_transcript: bool, presumed: PresumedTurn | None = None) -> None:
        """Go on as far as the present state allows: let replies end, begin the one that is owed, have waiting ones written.

        A reply to a turn that is only presumed to be over is written unseen, and used if the presumption was right.
        """
        self._advance_all()
        if self.is_owed and self._live is None and not caller_speaks and not awaits_transcript:
            settings = self._queued or self._usual()
            self._begin(settings, self._owed_since_ms, self._speculator.claim(settings))
        for reply in self._all:
            if reply.is_waiting and not (awaits_transcript and reply.settings.reads_conversation):
                self._generate(reply)
        may_speculate = self._live is None and self._queued is None
        self._speculator.advance(presumed if may_speculate else None, voice_is_fixed=self.voice_is_fixed)

    def reply_piece(self, event: ReplyPiece) -> None:
        """More of a reply was written."""
        if self._speculator.takes(event):
            return
        match event:
            case inputs.ReplyText():
                self.reply_text(event)
            case inputs.ReplyCall():
                self.reply_call(event)
            case inputs.ReplyFinished():
                self.reply_finished(event)
            case inputs.ReplyFailed():
                self.reply_failed(event)

    def reply_text(self, event: inputs.ReplyText) -> None:
        """More text came."""
        if (reply := self._named(event.response_id)) is not None:
            reply.text(event.text, self._context.now_ms)

    def reply_call(self, event: inputs.ReplyCall) -> None:
        """More of a function call came."""
        if (reply := self._named(event.response_id)) is not None:
            reply.call(event.call, event.name, event.arguments, self._context.now_ms)

    def reply_finished(self, event: inputs.ReplyFinished) -> None:
        """The text is complete."""
        if (reply := self._named(event.response_id)) is not None:
            reply.finish_text(event.finish_reason, event.usage)

    def reply_failed(self, event: inputs.ReplyFailed) -> None:
        """The text broke off."""
        if (reply := self._named(event.response_id)) is not None:
            reply.fail_text(event.fault)

    def speech_audio(self, event: inputs.SpeechAudio) -> None:
        """Audio came."""
        if (reply := self._named(event.response_id)) is not None:
            reply.audio(event.segment, event.audio)

    def speech_finished(self, event: inputs.SpeechFinished) -> None:
        """A segment has been spoken."""
        if (reply := self._named(event.response_id)) is not None:
            reply.finish_segment(event.segment, event.audio_tokens)

    def speech_failed(self, event: inputs.SpeechFailed) -> None:
        """The reply can't be spoken on."""
        if (reply := self._named(event.response_id)) is not None:
            reply.fail_speech(event.fault)

    def _named(self, response_id: str) -> Reply | None:
        if self._live is not None and self._live.id == response_id:
            return self._live
        return self._out_of_band.get(response_id)

    @property
    def _all(self) -> list[Reply]:
        live = [self._live] if self._live else []
        return [*live, *self._out_of_band.values()]

    def _advance_all(self) -> None:
        for reply in self._all:
            reply.advance(self._context.now_ms)
            self.voice_is_fixed = self.voice_is_fixed or reply.has_audio
            if reply.is_done and reply is self._live:
                self._live = None
                self.has_answered = True
                self._plays_until_ms = None if reply.was_cancelled else reply.plays_until_ms
                if reply.item_id is not None and reply.spoken:
                    self._remember(reply.item_id, reply.spoken)
            elif reply.is_done:
                del self._out_of_band[reply.id]

    def _remember(self, item_id: str, spoken: tuple[SpokenSegment, ...]) -> None:
        self._spoken[item_id] = spoken
        while len(self._spoken) > MAX_SPOKEN_REMEMBERED:
            del self._spoken[next(iter(self._spoken))]

    def _begin(self, settings: ReplySettings, committed_ms: float | None, written: Speculation | None = None) -> Reply:
        context = self._context
        self._owed_since_ms = self._queued = None
        reply_id = written.reply_id if written else None
        reply = Reply(settings, context.conversation, context.new_id, context.outbox, committed_ms, self._plays_until_ms, reply_id)
        self._live = reply
        self._announce(reply)
        if written is not None:
            self._result_came = False
            reply.adopt(context.now_ms)
            for piece in written.pieces:
                self.reply_piece(piece)
        return reply

    def _begin_out_of_band(self, settings: ReplySettings) -> None:
        if len(self._out_of_band) >= MAX_OUT_OF_BAND:
            message = f"{MAX_OUT_OF_BAND} responses outside the conversation are being made already; wait until one is done."
            raise Refused("response_limit_reached", message, "response.conversation")
        reply = Reply(settings, None, self._context.new_id, self._context.outbox, None)
        self._out_of_band[reply.id] = reply
        self._announce(reply)

    def _announce(self, reply: Reply) -> None:
        self.has_begun = True
        if reply.settings.output is OutputModality.AUDIO:
            self._context.outbox.put(PrepareSpeech(reply.settings.voice))
        reply.announce()

    def _generate(self, reply: Reply) -> None:
        if reply is self._live:
            self._result_came = False
        reply.generate(request(self._context, reply.settings, self._cache_key), self._context.now_ms)

    def _usual(self) -> ReplySettings:
        return plan(self._context, ResponseOptions(), voice_is_fixed=self.voice_is_fixed)

    def _fail_for(self, turn: FinishedTurn, fault: Fault) -> None:
        if self._live is not None:
            if self._live.is_waiting:
                self._live.fail(fault)
        elif turn.replies:
            self._begin(self._usual(), turn.committed_ms).fail(fault)
