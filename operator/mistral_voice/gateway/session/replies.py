"""The assistant's side: at most one live reply in the conversation, begun by a turn or by the client; and some beside it, out of band."""

from msgspec import structs

from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.commands import BargedIn, Count, Happening, Outcome, PrepareSpeech
from mistral_voice.gateway.session.config import OutputModality
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.errors import Fault, Refused
from mistral_voice.gateway.session.events import StopReason
from mistral_voice.gateway.session.heard import SpokenSegment
from mistral_voice.gateway.session.inputs import ResponseOptions
from mistral_voice.gateway.session.overlap import Meaning, Overlap, has_finished, meaning
from mistral_voice.gateway.session.playback import Playback
from mistral_voice.gateway.session.reply import Reply
from mistral_voice.gateway.session.reply_plan import ReplySettings, going_on, plan, request
from mistral_voice.gateway.session.resumption import Interrupted, rest_of
from mistral_voice.gateway.session.speculation import PresumedTurn, ReplyPiece, Speculation, Speculator
from mistral_voice.gateway.session.turns import FinishedTurn

MAX_OUT_OF_BAND = 4
"""Replies outside the conversation that may be made at once."""


class Replies:
    """The live reply, and whether another is owed: to a turn, committed at `owed_since_ms`, or to a client's request that waits.

    A client's request waits, instead of being refused, if it follows a function's result that the live reply doesn't know.
    An interrupted reply is kept in mind until the caller's words are known: if the interruption was false, it goes on.
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
        self._playback = Playback(context)
        self._interrupted: Interrupted | None = None
        self._false_as: Outcome | None = None
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
        paced = (reply.deadline_ms for reply in self._all if not (reply is self._live and self._playback.is_withheld))
        deadlines = (self._speculator.deadline_ms, self._playback.deadline_ms, *paced)
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def live_item_ids(self) -> tuple[str, ...]:
        """The ids of the items of the live reply."""
        return self._live.item_ids if self._live else ()

    def spoken(self, item_id: str) -> tuple[SpokenSegment, ...]:
        """Return what was said of an item, piece by piece; empty if that isn't known."""
        if self._live is not None and self._live.item_id == item_id:
            return self._live.spoken
        return self._playback.spoken(item_id)

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
        return self._playback.plays_until_ms

    def caller_is_silent(self) -> None:
        """The caller has said nothing for as long as the client wished: the assistant speaks again."""
        self._owed_since_ms = self._context.now_ms

    def result_came(self) -> None:
        """The client has added a function's result."""
        self._result_came = True

    def withhold(self) -> None:
        """The caller may be beginning to speak: audio waits until that is known."""
        self._playback.withhold()

    def go_on(self) -> None:
        """The caller was not beginning to speak: audio goes on where it was withheld."""
        self._playback.go_on(dismissed=True)

    def being_heard(self) -> Overlap | None:
        """Return what the caller hears of the assistant at this moment."""
        return self._playback.heard()

    def interrupt(self) -> None:
        """The caller speaks: the live reply stops, or what is still to be heard of the last one."""
        heard, playing = self._playback.heard(), self._playback.reply
        reply = self._live or playing
        self._playback.go_on()
        if reply is None:
            return
        heard_ms = heard.heard_ms if heard and heard.item_id == reply.item_id else 0.0
        if self._live is None and has_finished(reply.spoken, heard_ms):
            return
        self._interrupted = Interrupted(reply.settings, reply.item_id, reply.spoken, heard_ms, reply.text_end)
        self._false_as = None
        reply.cancel(StopReason.TURN_DETECTED)
        if playing is not self._live and heard is not None and not has_finished(self.spoken(heard.item_id), heard.heard_ms):
            self._playback.stop()

    def truncated(self, item_id: str, heard_ms: float) -> None:
        """The client tells how much of an item was heard."""
        self._playback.truncated(item_id, heard_ms)
        if self._interrupted is not None and self._interrupted.item_id == item_id:
            self._interrupted = structs.replace(self._interrupted, heard_ms=heard_ms)

    def caller_withdrew(self) -> None:
        """What the caller said is taken back by the client, which leads from here."""
        self._settle_interruption(Outcome.CONFIRMED)

    def drop(self) -> None:
        """The session ends: all replies stop."""
        self._owed_since_ms = self._queued = None
        self._speculator.drop()
        for reply in self._all:
            reply.cancel(None)

    def turn_finished(self, turn: FinishedTurn) -> None:
        """A turn's words are known: it may be owed a reply. A turn without words is owed none; one whose words got lost is told so."""
        if turn.fault is not None:
            self._settle_interruption(Outcome.CONFIRMED)
            self._fail_for(turn, turn.fault)
            return
        meant = self._meaning(turn)
        if meant is Meaning.ECHO:
            self._context.conversation.set_text(turn.item_id, 0, "")
        if meant is Meaning.WORDS or not turn.replies:
            self._settle_interruption(Outcome.CONFIRMED)
        elif self._interrupted is not None:
            self._false_as = Outcome.ECHO if meant is Meaning.ECHO else Outcome.RESUMED
        if meant is Meaning.WORDS and turn.replies:
            self._owed_since_ms = turn.committed_ms

    def advance(self, *, caller_speaks: bool, awaits_transcript: bool, presumed: PresumedTurn | None = None) -> None:
        """Go on as far as the present state allows: let replies end, begin the one that is owed, have waiting ones written.

        A reply to a turn that is only presumed to be over is written unseen, and used if the presumption was right.
        """
        self._playback.expire()
        self._advance_all()
        if self.is_owed and self._live is None and not caller_speaks and not awaits_transcript:
            settings = self._queued or self._usual()
            self._begin(settings, self._owed_since_ms, self._speculator.claim(settings))
            self._advance_all()  # What was written unseen may be complete.
        if self._false_as is not None and self._live is None and not caller_speaks and not awaits_transcript:
            self._resume()
        for reply in self._all:
            if reply.is_waiting and not (awaits_transcript and reply.settings.reads_conversation):
                self._generate(reply)
        may_speculate = self._live is None and self._queued is None
        self._speculator.advance(presumed if may_speculate else None, voice_is_fixed=self.voice_is_fixed)
        self._playback.tell_detection()

    def reply_piece(self, event: ReplyPiece) -> None:
        """More of a reply was written, unseen or not."""
        if self._speculator.takes(event) or (reply := self._named(event.response_id)) is None:
            return
        now_ms = self._context.now_ms
        match event:
            case inputs.ReplyText():
                reply.text(event.text, now_ms)
            case inputs.ReplyCall():
                reply.call(event.call, event.name, event.arguments, now_ms)
            case inputs.ReplyFinished():
                reply.finish_text(event.finish_reason, event.usage)
            case inputs.ReplyFailed():
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
            in_turn = reply is self._live
            reply.advance(self._context.now_ms, withheld=in_turn and self._playback.is_withheld)
            self.voice_is_fixed = self.voice_is_fixed or reply.has_audio
            if in_turn:
                self._playback.follow(reply)
            if reply.is_done and in_turn:
                self._live = None
                self.has_answered = True
                self._playback.over(reply)
            elif reply.is_done:
                del self._out_of_band[reply.id]

    def _meaning(self, turn: FinishedTurn) -> Meaning:
        if turn.over is not None:
            meant = meaning(turn.text, self.spoken(turn.over.item_id), turn.over.heard_ms, turn.lasted_ms)
        elif self._interrupted is not None:
            meant = meaning(turn.text, self._interrupted.said, self._interrupted.heard_ms, turn.lasted_ms)
        else:
            meant = meaning(turn.text, (), 0.0, turn.lasted_ms)
        if meant is Meaning.BACKCHANNEL and not self._context.policy.resume_after_false_interruption:
            return Meaning.WORDS
        return meant

    def _settle_interruption(self, outcome: Outcome) -> None:
        if self._interrupted is not None:
            self._context.outbox.put(BargedIn(outcome))
        self._interrupted = self._false_as = None

    def _resume(self) -> None:
        """Say the rest of the reply that was interrupted for nothing, from the clause that was broken; then the model goes on."""
        interrupted = self._interrupted
        outcome = self._false_as
        if interrupted is None or outcome is None:
            return
        rest = rest_of(interrupted.said, interrupted.heard_ms)
        nothing_left = interrupted.end is not None and not rest.pieces
        if nothing_left or not self._context.policy.resume_after_false_interruption:
            self._settle_interruption(outcome if outcome is Outcome.ECHO else Outcome.CONFIRMED)
            return
        self._settle_interruption(outcome)
        conversation = self._context.conversation
        if interrupted.item_id is not None and interrupted.said:
            conversation.set_text(interrupted.item_id, 0, rest.kept)
        reply = self._begin(going_on(interrupted.settings, interrupted.item_id), committed_ms=None)
        reply.say_again(rest.pieces, interrupted.end)
        if interrupted.end is None:
            if reply.item_id is not None:
                conversation.set_text(reply.item_id, 0, " ".join(rest.pieces))
            self._generate(reply, going_on(reply.settings, reply.item_id))

    def _begin(self, settings: ReplySettings, committed_ms: float | None, written: Speculation | None = None) -> Reply:
        context = self._context
        self._owed_since_ms = self._queued = None
        self._settle_interruption(Outcome.CONFIRMED)
        heard_from_ms = self._playback.plays_until_ms
        reply_id = written.reply_id if written else None
        reply = Reply(settings, context.conversation, context.new_id, context.outbox, committed_ms, heard_from_ms, reply_id)
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
            self._context.outbox.put(Count(Happening.OUT_OF_BAND_LIMITED))
            message = f"{MAX_OUT_OF_BAND} responses outside the conversation are being made already; wait until one is done."
            raise Refused("response_limit_reached", message, "response.conversation")
        reply = Reply(settings, None, self._context.new_id, self._context.outbox, None)
        self._out_of_band[reply.id] = reply
        self._announce(reply)

    def _announce(self, reply: Reply) -> None:
        self.has_begun = True
        if reply.settings.output is OutputModality.AUDIO:
            self._context.outbox.put(PrepareSpeech(reply.settings.voice, reply.id))
        reply.announce()

    def _generate(self, reply: Reply, settings: ReplySettings | None = None) -> None:
        if reply is self._live:
            self._result_came = False
        settings = settings or reply.settings
        asked = request(self._context, settings, self._cache_key)
        if asked.tools != settings.tools:
            self._context.outbox.put(Count(Happening.CALL_ROUNDS_LIMITED))
        reply.generate(asked, self._context.now_ms)

    def _usual(self) -> ReplySettings:
        return plan(self._context, ResponseOptions(), voice_is_fixed=self.voice_is_fixed)

    def _fail_for(self, turn: FinishedTurn, fault: Fault) -> None:
        if self._live is not None:
            if self._live.is_waiting:
                self._live.fail(fault)
        elif turn.replies:
            self._begin(self._usual(), turn.committed_ms).fail(fault)
