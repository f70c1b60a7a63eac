"""One reply: from `response.created` to `response.done`, each part begun and ended exactly once, in the protocol's order."""

from enum import Enum, auto

from msgspec import structs

from mistral_voice.gateway.session.commands import DropReply, Measured, Speak, Stage, StartReply
from mistral_voice.gateway.session.config import OutputModality
from mistral_voice.gateway.session.context import NewId
from mistral_voice.gateway.session.conversation import Conversation
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import (
    AudioDelta,
    AudioDone,
    ContentPartAdded,
    ContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseStatus,
    ResponseUsage,
    ResponseView,
    StopReason,
    TextDelta,
    TextDone,
)
from mistral_voice.gateway.session.heard import SpokenSegment, SpokenText
from mistral_voice.gateway.session.inputs import Usage
from mistral_voice.gateway.session.items import ItemStatus, Message, Part, PartKind, Role
from mistral_voice.gateway.session.outbox import Outbox
from mistral_voice.gateway.session.output_items import OutputItems
from mistral_voice.gateway.session.playout import Playout
from mistral_voice.gateway.session.reply_calls import ReplyCalls
from mistral_voice.gateway.session.reply_plan import ReplySettings
from mistral_voice.gateway.session.resumption import TextEnd
from mistral_voice.gateway.session.unspoken import Unspoken
from mistral_voice.gateway.text.clauses import ClauseSplitter
from mistral_voice.gateway.text.speakable import Speakable
from mistral_voice.mistral.stream.chat_request import ChatRequest
from mistral_voice.mistral.stream.errors import FaultKind


class _Phase(Enum):
    WAITING = auto()  # for the transcripts of turns
    GENERATING = auto()
    DONE = auto()


class Reply:
    """A live reply; its item joins the conversation with its first words.

    `turn_committed_ms`: when the turn it answers ended, if any. `heard_from_ms`: when the caller will have heard what came before it.
    """

    def __init__(
        self,
        settings: ReplySettings,
        conversation: Conversation | None,
        new_id: NewId,
        outbox: Outbox,
        turn_committed_ms: float | None,
        heard_from_ms: float | None = None,
        reply_id: str | None = None,
    ) -> None:
        self.id = reply_id or new_id("resp")
        self.settings = settings
        self._conversation_id = conversation.id if conversation else None
        self._new_id = new_id
        self._outbox = outbox
        self._phase = _Phase.WAITING
        self._status = ResponseStatus.IN_PROGRESS
        self._output = OutputItems(self.id, conversation, outbox)
        self._calls = ReplyCalls(self.id, self._output, new_id, outbox)
        self._item: Message | None = None
        self._index = 0
        self._text = ""
        self._text_end: TextEnd | None = None
        self._splitter = ClauseSplitter()
        self._speakable = Speakable()
        self._spoken = SpokenText(settings.audio_format)
        self._unspoken = Unspoken(self.id, self._spoken, outbox)
        self._playout = Playout(settings.lead_ms, heard_from_ms, settings.audio_format)
        self._usage = ResponseUsage()
        self._turn_committed_ms = turn_committed_ms
        self._asked_ms = 0.0
        self._first_text_ms: float | None = None
        self._heard_audio = False
        self._dropped = False

    @property
    def is_waiting(self) -> bool:
        """Whether generation has yet to begin."""
        return self._phase is _Phase.WAITING

    @property
    def is_done(self) -> bool:
        """Whether the reply has ended."""
        return self._phase is _Phase.DONE

    @property
    def was_cancelled(self) -> bool:
        """Whether the reply was stopped before its end."""
        return self._status is ResponseStatus.CANCELLED

    @property
    def has_failed(self) -> bool:
        """Whether the reply broke off."""
        return self._status is ResponseStatus.FAILED

    @property
    def has_audio(self) -> bool:
        """Whether audio of this reply has gone to the client; its voice is fixed from then on."""
        return self._heard_audio

    @property
    def item_id(self) -> str | None:
        """The id of the reply's message, once it has one."""
        return self._item.id if self._item else None

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The ids of the reply's message and calls so far."""
        return self._output.ids

    @property
    def deadline_ms(self) -> float | None:
        """When the clock has something for this reply."""
        return self._playout.deadline_ms

    @property
    def plays_until_ms(self) -> float | None:
        """When the caller will have heard all audio that was sent; None if nothing was."""
        return self._playout.plays_until_ms

    @property
    def spoken(self) -> tuple[SpokenSegment, ...]:
        """What was said, piece by piece."""
        return self._spoken.segments()

    @property
    def text_end(self) -> TextEnd | None:
        """How the text ended; None as long as it is being written."""
        return self._text_end

    def announce(self) -> None:
        """Tell the client that the reply begins."""
        self._outbox.put(ResponseCreated(self._view(ResponseStatus.IN_PROGRESS)))

    def generate(self, request: ChatRequest, now_ms: float) -> None:
        """The conversation is complete; have the reply written."""
        self.adopt(now_ms)
        self._outbox.put(StartReply(self.id, request))

    def adopt(self, now_ms: float) -> None:
        """The conversation is complete, and the reply is being written already."""
        self._phase = _Phase.GENERATING
        self._output.place()
        self._asked_ms = now_ms

    def say_again(self, pieces: tuple[str, ...], end: TextEnd | None) -> None:
        """Say what was written before, piece by piece. `end` None: the model is to go on after it."""
        self._phase = _Phase.GENERATING
        self._output.place()
        for piece in pieces:
            self._speak(piece)
        if end is not None:
            self._text_end = end
            self._unspoken.finish()

    def text(self, text: str, now_ms: float) -> None:
        """More text came from the model."""
        if self._phase is not _Phase.GENERATING or self._text_end is not None or not text:
            return
        self._measure_first_token(now_ms)
        if self.settings.output is OutputModality.TEXT:
            self._write(text)
            return
        for piece in self._splitter.push(text):
            self._speak(piece)

    def call(self, number: int, name: str, arguments: str, now_ms: float) -> None:
        """More of a function call came from the model. What was written before it is spoken at once."""
        if self._phase is not _Phase.GENERATING or self._text_end is not None:
            return
        self._measure_first_token(now_ms)
        for piece in self._splitter.finish():
            self._speak(piece)
        self._calls.push(number, name, arguments)

    def finish_text(self, finish_reason: str, usage: Usage | None) -> None:
        """The model has said all it had to say."""
        if self._phase is not _Phase.GENERATING or self._text_end is not None:
            return
        if usage is not None:
            self._usage = structs.replace(self._usage, text=usage)
        if finish_reason == "error":
            self.fail_text(Fault(FaultKind.UNAVAILABLE, "Mistral broke the reply off with an error of its own."))
            return
        self._text_end = _ENDINGS.get(finish_reason, TextEnd(ResponseStatus.COMPLETED))
        self._calls.end(whole=self._text_end.status is ResponseStatus.COMPLETED)
        if self.settings.output is OutputModality.AUDIO:
            for piece in self._splitter.finish():
                self._speak(piece)
            if len(self._spoken):
                self._unspoken.finish()

    def fail_text(self, fault: Fault) -> None:
        """The text broke off. What is being spoken is spoken to its end; the clause that was left incomplete never is."""
        if self._phase is not _Phase.GENERATING or self._text_end is not None:
            return
        if not len(self._spoken):
            self.fail(fault)
            return
        self._text_end = TextEnd(ResponseStatus.FAILED, fault=fault)
        self._calls.end(whole=False)
        self._unspoken.finish()

    def audio(self, segment: int, audio: bytes) -> None:
        """Audio of a segment came."""
        if self._phase is _Phase.GENERATING and segment < len(self._spoken):
            self._spoken.made(segment, len(audio))
            if self._spoken.is_endless(segment):
                self.fail_speech(Fault(FaultKind.GARBLED, "The speech failed: Mistral spoke on though all was said."))
                return
            self._playout.push(segment, audio)

    def finish_segment(self, segment: int, audio_tokens: int) -> None:
        """All audio of a segment has come."""
        if self._phase is _Phase.GENERATING and self._spoken.finish(segment):
            self._usage = structs.replace(self._usage, audio_tokens=self._usage.audio_tokens + audio_tokens)

    def advance(self, now_ms: float, *, withheld: bool = False) -> None:
        """Send the audio that is due, unless it is withheld, and end the reply if nothing is left to come."""
        if self._phase is not _Phase.GENERATING:
            return
        if not withheld:
            self._release(now_ms)
        self._unspoken.advance()
        end = self._text_end
        if end is not None and self._playout.is_empty and self._spoken.is_finished:
            self._end(end.status, reason=end.reason, fault=end.fault)

    def cancel(self, reason: StopReason | None) -> None:
        """Stop the reply. Nothing happens if it has ended. No reason: the session ends."""
        if self._phase is _Phase.DONE:
            return
        self._drop()
        self._end(ResponseStatus.CANCELLED, reason=reason)

    def fail(self, fault: Fault) -> None:
        """The reply can't go on; what was said so far stays."""
        if self._phase is _Phase.DONE:
            return
        self._drop()
        self._end(ResponseStatus.FAILED, fault=fault)

    def fail_speech(self, fault: Fault) -> None:
        """The reply can't be spoken on: nothing more is asked for, and what has come of its audio is heard to its end."""
        if self._playout.is_empty:
            self.fail(fault)
        elif self._phase is _Phase.GENERATING:
            self._drop()
            self._calls.end(whole=False)
            self._spoken.end()
            self._text_end = TextEnd(ResponseStatus.FAILED, fault=fault)

    def _drop(self) -> None:
        if not self._dropped:
            self._dropped = True
            self._unspoken.drop()
            self._outbox.put(DropReply(self.id))

    def _write(self, text: str) -> None:
        item = self._open_item(PartKind.OUTPUT_TEXT)
        self._text += text
        self._outbox.put(TextDelta(self.id, item.id, PartKind.OUTPUT_TEXT, text, self._index))

    def _speak(self, piece: str) -> None:
        spoken = self._speakable.words_of(piece)
        if not spoken:
            return
        item = self._open_item(PartKind.OUTPUT_AUDIO)
        delta = f" {spoken}" if self._text else spoken
        self._text += delta
        self._spoken.add(spoken)
        self._outbox.put(TextDelta(self.id, item.id, PartKind.OUTPUT_AUDIO, delta, self._index))
        self._unspoken.add(Speak(self.id, len(self._spoken) - 1, spoken, self.settings.voice, self.settings.audio_format))

    def _release(self, now_ms: float) -> None:
        for segment, audio in self._playout.release(now_ms):
            item = self._item
            if item is None:
                raise AssertionError("Audio can't come before the text that it speaks.")
            if not self._heard_audio:
                self._heard_audio = True
                self._measure_first_audio(now_ms)
            self._spoken.sent(segment, len(audio))
            self._outbox.put(AudioDelta(self.id, item.id, audio, self._index))

    def _measure_first_token(self, now_ms: float) -> None:
        if self._first_text_ms is None:
            self._first_text_ms = now_ms
            self._outbox.put(Measured(Stage.FIRST_TOKEN, now_ms - self._asked_ms))

    def _measure_first_audio(self, now_ms: float) -> None:
        if self._first_text_ms is not None:
            self._outbox.put(Measured(Stage.FIRST_AUDIO, now_ms - self._first_text_ms))
        if self._turn_committed_ms is not None:
            self._outbox.put(Measured(Stage.TOTAL, now_ms - self._turn_committed_ms))

    def _open_item(self, kind: PartKind) -> Message:
        if self._item is not None:
            return self._item
        empty = Message(self._new_id("item"), Role.ASSISTANT, (), ItemStatus.IN_PROGRESS)
        self._item = structs.replace(empty, parts=(Part(kind, ""),))
        self._index = self._output.begin(self._item)
        self._outbox.put(ContentPartAdded(self.id, empty.id, kind, self._index))
        return self._item

    def _end(self, status: ResponseStatus, *, reason: StopReason | None = None, fault: Fault | None = None) -> None:
        self._phase, self._status = _Phase.DONE, status
        self._calls.end(whole=False)
        if self._item is not None:
            whole = status is ResponseStatus.COMPLETED
            self._close_item(self._item, ItemStatus.COMPLETED if whole else ItemStatus.INCOMPLETE)
        self._outbox.put(ResponseDone(self._view(status, reason, fault, self._usage)))

    def _close_item(self, item: Message, status: ItemStatus) -> None:
        kind, index = item.parts[0].kind, self._index
        self._item = item = structs.replace(item.with_text(0, self._text), status=status)
        if kind is PartKind.OUTPUT_AUDIO:
            self._outbox.put(AudioDone(self.id, item.id, index))
        self._outbox.put(TextDone(self.id, item.id, kind, self._text, index), ContentPartDone(self.id, item.id, kind, self._text, index))
        self._output.end(index, item)

    def _view(
        self,
        status: ResponseStatus,
        reason: StopReason | None = None,
        fault: Fault | None = None,
        usage: ResponseUsage | None = None,
    ) -> ResponseView:
        return ResponseView(
            id=self.id,
            conversation_id=self._conversation_id,
            status=status,
            modality=self.settings.output,
            voice=self.settings.voice,
            max_output_tokens=self.settings.max_output_tokens,
            metadata=self.settings.metadata,
            audio_format=self.settings.audio_format,
            output=self._output.items,
            reason=reason,
            fault=fault,
            usage=usage,
        )


_ENDINGS = {
    "length": TextEnd(ResponseStatus.INCOMPLETE, StopReason.MAX_OUTPUT_TOKENS),
    "model_length": TextEnd(ResponseStatus.INCOMPLETE, StopReason.MAX_OUTPUT_TOKENS),
    "content_filter": TextEnd(ResponseStatus.INCOMPLETE, StopReason.CONTENT_FILTER),
}
