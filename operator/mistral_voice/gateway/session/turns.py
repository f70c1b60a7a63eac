"""The caller's side: audio, turns by voice activity or by the client's commit, and their transcripts."""

from msgspec import Struct, structs

from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.commands import (
    Count,
    Detect,
    DropTurn,
    FinishTurn,
    Happening,
    Hear,
    Measured,
    PrepareSpeech,
    RetryTurn,
    Stage,
    StartTurn,
)
from mistral_voice.gateway.session.config import OutputModality, SemanticVad, Transcription, TurnDetection, voice_activity
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.errors import Fault, Refused
from mistral_voice.gateway.session.events import (
    AudioCleared,
    AudioCommitted,
    IdleTimedOut,
    ItemAdded,
    ItemDone,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailed,
)
from mistral_voice.gateway.session.input_audio import MOST_AWAITED_TURNS, SHORTEST_COMMIT_MS, InputAudio, OpenTurn, PendingTurn
from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from mistral_voice.gateway.session.overlap import Overlap
from mistral_voice.gateway.session.semantic import SemanticTurn
from mistral_voice.gateway.session.speculation import PresumedTurn
from mistral_voice.mistral.stream.errors import FaultKind
from mistral_voice.mistral.stream.turn_events import TurnSign


class FinishedTurn(Struct, frozen=True):
    """A turn whose words are known, or never will be. `replies`: a reply follows by itself. `over`: what it was spoken over."""

    item_id: str
    text: str
    replies: bool
    committed_ms: float
    fault: Fault | None = None
    over: Overlap | None = None
    lasted_ms: float = 0.0


class Turns:
    """Turns in the making and awaiting their transcript. `finished` collects those that the session has to react to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._audio = InputAudio(context.config.input_format)
        self._epoch = 0
        self._semantic: SemanticTurn | None = None
        self.finished: list[FinishedTurn] = []

    @property
    def is_speaking(self) -> bool:
        """Whether the detector hears the caller speak."""
        turn = self._audio.turn
        return turn is not None and turn.detected

    @property
    def is_open(self) -> bool:
        """Whether a turn is being spoken, detected or not."""
        return self._audio.turn is not None

    @property
    def awaits_transcript(self) -> bool:
        """Whether a committed turn's transcript is awaited."""
        return self._audio.awaits_transcript

    @property
    def presumed(self) -> PresumedTurn | None:
        """The turn that seems to be over, if a reply will follow it and no other turn's words are awaited."""
        if len(self._audio.pending) != 1:
            return None
        (turn,) = self._audio.pending.values()
        settings = self._context.config.turn_detection
        replies = turn.replies if turn.committed_ms is not None else settings is not None and settings.create_response
        if turn.presumed_ms is None or not replies:
            return None
        return PresumedTurn(turn.item_id, turn.text, max(turn.last_text_ms, turn.presumed_since_ms), turn.presumed_ms)

    @property
    def deadline_ms(self) -> float | None:
        """When the clock has something for a turn."""
        deadlines = (self._audio.deadline_ms, self._semantic.deadline_ms if self._semantic else None)
        return min((at for at in deadlines if at is not None), default=None)

    def change_format(self, audio_format: AudioFormat) -> None:
        """The client's audio comes in this format from here on. Raises Refused while a turn is open, whose audio has one format."""
        if self.is_open:
            raise Refused(
                "cannot_update_audio_format",
                "The format of the input audio can't change within a turn; commit or clear the audio that was sent, then change it.",
                "session.audio.input.format",
            )
        self._audio.change_format(audio_format)

    def detect(self, settings: TurnDetection, from_ms: int | None = None) -> None:
        """Detect turns by these settings from a position on, from here if none is given.

        An open turn goes on: the new detector ends it, or the client's commit if detection ends.
        """
        self._epoch += 1
        if not isinstance(settings, SemanticVad):
            self._semantic = None
        turn = self._audio.turn
        if turn is not None and turn.announced:
            self._audio.turn = structs.replace(turn, detected=settings is not None)
        position_ms = self._audio.position_ms if from_ms is None else from_ms
        speaking = self.is_speaking and not (self._semantic is not None and self._semantic.is_quiet)
        self._context.outbox.put(Detect(voice_activity(settings), self._epoch, position_ms, self._audio.audio_format, speaking))

    def hear(self, audio: bytes, *, accepting: bool) -> bytes | None:
        """Take the client's audio as `append` does, and return what of it there is to hear; None, and nothing taken, if it opens a turn."""
        is_open = self._audio.turn is not None
        if not is_open and self._context.config.turn_detection is None:
            return None
        return self._audio.write(audio) if accepting or is_open else b""

    def append(self, event: inputs.AppendAudio, *, accepting: bool) -> None:
        """The client sends audio. Without detection it opens a turn; `accepting` False: only an open turn takes it."""
        if not (accepting or self.is_open):
            return
        position_ms = self._audio.position_ms
        audio = self._audio.write(event.audio)
        if not audio:
            return
        if self._context.config.turn_detection is None and not self.is_open:
            self._open(position_ms)
        self._context.outbox.put(Hear(audio))

    def commit(self) -> None:
        """The client ends its turn. Raises Refused if it has sent too little audio."""
        audio = self._audio
        if audio.uncommitted_ms < SHORTEST_COMMIT_MS:
            raise Refused(
                "input_audio_buffer_commit_empty",
                f"The input audio buffer holds {audio.uncommitted_ms} ms of audio; a commit needs at least {SHORTEST_COMMIT_MS} ms.",
            )
        if audio.oldest_in_excess is not None:
            self._context.outbox.put(Count(Happening.TURNS_LIMITED))
            raise Refused("rate_limit_exceeded", f"The transcripts of {MOST_AWAITED_TURNS} turns are awaited already; commit again later.")
        if not self.is_open:
            self._open(audio.begins_ms)
        self._tell_speech_is_over()
        self._close(audio.position_ms, replies=False)
        self._detect_anew()

    def commit_silence(self, length_ms: int) -> None:
        """The caller has said nothing for so long: that becomes a turn without words."""
        context = self._context
        start_ms, end_ms = self._audio.skip(length_ms)
        item = Message(context.new_id("item"), Role.USER, (Part(PartKind.INPUT_AUDIO, ""),))
        previous = context.conversation.last_id
        context.conversation.add(item)
        context.outbox.put(IdleTimedOut(item.id, start_ms, end_ms), AudioCommitted(item.id, previous))
        context.outbox.put(ItemAdded(item, previous), ItemDone(item, previous))
        if context.config.transcription is not None:
            context.outbox.put(TranscriptionCompleted(item.id, "", (end_ms - start_ms) / 1000))

    def clear(self) -> None:
        """The client takes its uncommitted audio back."""
        self._semantic = None
        self._tell_speech_is_over()
        item_id = self._audio.drop_turn()
        if item_id is not None:
            self._context.outbox.put(DropTurn(item_id))
        self._context.outbox.put(AudioCleared())
        self._detect_anew()

    def is_open_to(self, epoch: int) -> bool:
        """Whether the detector of this epoch may tell of a new voice."""
        return self._context.config.turn_detection is not None and epoch == self._epoch and not self.is_speaking

    def voice_started(self, event: inputs.VoiceStarted, over: Overlap | None) -> bool:
        """The detector heard the caller begin, over what the assistant was saying. Returns whether that counts as speech."""
        wanted = self._context.config.turn_detection
        settings = voice_activity(wanted)
        if settings is None or event.epoch != self._epoch:
            return False
        if self.is_speaking:
            return self._voice_goes_on(event.at_ms)
        start_ms = max(self._audio.begins_ms, event.at_ms - settings.prefix_padding_ms, 0)
        turn = self._audio.turn
        if turn is None:
            if isinstance(wanted, SemanticVad):
                self._semantic = SemanticTurn(wanted.eagerness.end_timeout_ms, event.at_ms)
            turn = self._open(start_ms)
        if not turn.announced:
            self._context.outbox.put(SpeechStarted(turn.item_id, turn.from_ms))
        self._audio.turn = structs.replace(turn, detected=True, announced=True)
        pending = self._audio.pending[turn.item_id]
        pending.over = over
        pending.expect_text(self._context.now_ms)
        return True

    def voice_stopped(self, event: inputs.VoiceStopped) -> None:
        """The detector heard the caller end: the turn is committed, unless its words decide."""
        turn = self._audio.turn
        if self._context.config.turn_detection is None or event.epoch != self._epoch or turn is None or not turn.detected:
            return
        if self._semantic is None:
            self._end(turn, event.at_ms)
        else:
            self._semantic.quiet(event.at_ms, self._context.now_ms)
            self._audio.pending[turn.item_id].text_due_ms = None

    def turn_event(self, event: inputs.TurnEvent) -> None:
        """Mistral tells something of the turn."""
        turn, semantic = self._audio.turn, self._semantic
        if turn is None or semantic is None or turn.item_id != event.item_id:
            return
        semantic.noticed = True
        length_ms = min(max(0, int(event.at_ms)), self._audio.position_ms - turn.from_ms)
        if event.sign is not TurnSign.END:
            pending = self._audio.pending[turn.item_id]
            pending.presumed_ms = length_ms if event.sign is TurnSign.EAGER_END else None
            pending.presumed_since_ms = self._context.now_ms
        else:
            end_ms = semantic.end_ms(turn.from_ms, length_ms, self._audio.position_ms)
            self._end(turn, end_ms)
            if semantic.goes_on_after(end_ms):
                self.detect(self._context.config.turn_detection, end_ms)

    def turn_events_missing(self, event: inputs.TurnEventsMissing) -> None:
        """The turn ends with its silence after all."""
        turn, semantic = self._audio.turn, self._semantic
        if turn is None or semantic is None or turn.item_id != event.item_id:
            return
        self._context.outbox.put(Count(Happening.TURN_EVENTS_MISSING))
        self._semantic = None
        if semantic.quiet_at_ms is not None:
            self._end(turn, semantic.quiet_at_ms)

    def transcript_delta(self, event: inputs.TranscriptDelta) -> None:
        """More of what the caller said."""
        turn = self._audio.pending.get(event.item_id)
        if turn is None or not event.text:
            return
        turn.texts.append(event.text)
        turn.last_text_ms = self._context.now_ms
        if turn.committed_ms is not None:
            turn.text_due_ms = None
        elif turn.text_due_ms is not None:
            turn.expect_text(self._context.now_ms)
        if turn.visible and turn.committed_ms is not None and not turn.restarted:
            self._context.outbox.put(TranscriptionDelta(turn.item_id, event.text))

    def transcript_restarted(self, event: inputs.TranscriptRestarted) -> None:
        """The transcript begins anew."""
        turn = self._audio.pending.get(event.item_id)
        if turn is not None:
            turn.texts.clear()
            turn.restarted = turn.committed_ms is not None

    def transcript_done(self, event: inputs.TranscriptDone) -> None:
        """The transcript is complete."""
        turn = self._audio.pending.get(event.item_id)
        if turn is None:
            return
        if event.text is not None and event.text.strip():
            turn.texts[:] = [event.text]
        turn.done = True
        self._conclude_if_over(turn)

    def transcript_failed(self, event: inputs.TranscriptFailed) -> None:
        """There will be no transcript."""
        turn = self._audio.pending.get(event.item_id)
        if turn is not None:
            turn.fault = event.fault
            self._conclude_if_over(turn)

    def expire(self) -> None:
        """Take what the clock makes final, and begin anew what has stalled."""
        self._end_what_mistral_lost()
        for turn in self._audio.stalled(self._context.now_ms):
            turn.retried, turn.text_due_ms = True, None
            self._context.outbox.put(Count(Happening.TRANSCRIPTION_STALLED), RetryTurn(turn.item_id))
        for turn in self._audio.due(self._context.now_ms):
            self._give_up(turn)

    def drop(self) -> None:
        """The session ends: nothing more is wanted of any turn."""
        for item_id in self._audio.pending:
            self._context.outbox.put(DropTurn(item_id))
        self._audio.pending.clear()
        self._audio.turn = self._semantic = None

    def _give_up(self, turn: PendingTurn) -> None:
        """Wait no longer for a turn's transcript: it is what has come of it."""
        self._context.outbox.put(DropTurn(turn.item_id))
        if not turn.text.strip():
            turn.fault = Fault(FaultKind.TIMED_OUT, "Mistral gave no transcript of the caller's words in time.")
        turn.done = True
        self._conclude_if_over(turn)

    def _open(self, from_ms: int) -> OpenTurn:
        turn = OpenTurn(self._context.new_id("item"), from_ms)
        visible = self._context.config.transcription
        self._audio.open_turn(turn, visible=visible is not None)
        end_timeout_ms = self._semantic.end_timeout_ms if self._semantic else None
        self._context.outbox.put(StartTurn(turn.item_id, from_ms, visible or Transcription(), end_timeout_ms))
        return turn

    def _voice_goes_on(self, at_ms: int) -> bool:
        """Voice after a silence that did not end the turn."""
        turn, semantic = self._audio.turn, self._semantic
        if turn is None or semantic is None or not semantic.is_quiet:
            return False
        semantic.voice(at_ms)
        self._audio.pending[turn.item_id].presumed_ms = None
        self._audio.pending[turn.item_id].expect_text(self._context.now_ms)
        return True

    def _end_what_mistral_lost(self) -> None:
        turn, semantic = self._audio.turn, self._semantic
        if turn is None or semantic is None or semantic.quiet_at_ms is None:
            return
        if semantic.deadline_ms is not None and semantic.deadline_ms <= self._context.now_ms:
            self._context.outbox.put(Count(Happening.TURN_EVENTS_STALLED if semantic.noticed else Happening.TURN_UNNOTICED))
            self._end(turn, semantic.quiet_at_ms)

    def _tell_speech_is_over(self) -> None:
        """The client ends a turn whose speech it was told of: for it, speech stops here."""
        turn = self._audio.turn
        if turn is not None and turn.announced:
            self._context.outbox.put(SpeechStopped(turn.item_id, self._audio.position_ms))

    def _end(self, turn: OpenTurn, at_ms: int) -> None:
        settings = self._context.config.turn_detection
        excess = self._audio.oldest_in_excess
        if excess is not None:
            self._context.outbox.put(Count(Happening.TURNS_LIMITED))
            self._give_up(excess)
        self._context.outbox.put(SpeechStopped(turn.item_id, at_ms))
        self._close(at_ms, replies=settings is not None and settings.create_response)

    def _close(self, to_ms: int, *, replies: bool) -> None:
        context = self._context
        self._semantic = None
        turn = self._audio.close_turn(to_ms, context.now_ms, replies=replies)
        previous = context.conversation.last_id
        item = Message(turn.item_id, Role.USER, (Part(PartKind.INPUT_AUDIO),))
        context.conversation.add(item)
        context.outbox.put(
            FinishTurn(turn.item_id, to_ms),
            AudioCommitted(turn.item_id, previous),
            ItemAdded(item, previous),
            ItemDone(item, previous),
        )
        if replies and context.config.output is OutputModality.AUDIO:
            context.outbox.put(PrepareSpeech(context.config.voice))
        if turn.visible and turn.text:
            context.outbox.put(TranscriptionDelta(turn.item_id, turn.text))
        self._conclude_if_over(turn)

    def _conclude_if_over(self, turn: PendingTurn) -> None:
        if turn.committed_ms is None or not (turn.done or turn.fault):
            return
        del self._audio.pending[turn.item_id]
        text = turn.text.strip()
        outbox = self._context.outbox
        if turn.fault is not None:
            if turn.visible:
                outbox.put(TranscriptionFailed(turn.item_id, turn.fault))
        else:
            self._context.conversation.set_text(turn.item_id, 0, text)
            outbox.put(Measured(Stage.TRANSCRIPT, self._context.now_ms - turn.committed_ms))
            if turn.visible:
                outbox.put(TranscriptionCompleted(turn.item_id, text, turn.seconds))
        lasted_ms = turn.seconds * 1000
        self.finished.append(FinishedTurn(turn.item_id, text, turn.replies, turn.committed_ms, turn.fault, turn.over, lasted_ms))

    def _detect_anew(self) -> None:
        settings = self._context.config.turn_detection
        if settings is not None:
            self.detect(settings)
