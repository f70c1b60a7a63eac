"""One session as a trace: the session, in it its turns, in each turn its transcription, its reply's text and its speech."""

from typing import TYPE_CHECKING

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.gateway.tracing import Tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class SessionTrace:
    """Follows what a session takes and makes, and draws its spans from that."""

    def __init__(self, tracer: Tracer, model: str) -> None:
        self._tracer = tracer
        self._session = tracer.start("session", model=model)
        self._turns: dict[str, Span] = {}
        self._transcriptions: dict[str, Span] = {}
        self._replies: dict[str, Span] = {}
        self._chats: dict[str, Span] = {}
        self._speeches: dict[str, Span] = {}

    def took(self, event: inputs.Input) -> None:
        """Something happened to the session."""
        match event:
            case inputs.TranscriptDone(item_id=item_id):
                _end(self._transcriptions.pop(item_id, None))
            case inputs.TranscriptFailed(item_id=item_id, fault=fault):
                _end(self._transcriptions.pop(item_id, None), fault)
            case inputs.ReplyText(response_id=response_id):
                _first(self._chats.get(response_id), "first_token")
            case inputs.ReplyFinished(response_id=response_id):
                _end(self._chats.pop(response_id, None))
            case inputs.ReplyFailed(response_id=response_id, fault=fault):
                _end(self._chats.pop(response_id, None), fault)
            case inputs.SpeechAudio(response_id=response_id):
                _first(self._speeches.get(response_id), "first_audio")
            case inputs.SpeechFailed(response_id=response_id, fault=fault):
                _end(self._speeches.pop(response_id, None), fault)

    def made(self, output: Output) -> None:
        """The session wants something done or said."""
        match output:
            case commands.StartTurn(item_id=item_id):
                self._end_answered_turns()
                self._turns[item_id] = turn = self._tracer.start("turn", self._session)
                self._transcriptions[item_id] = self._tracer.start("transcription", turn)
            case commands.FinishTurn(item_id=item_id):
                _first(self._transcriptions.get(item_id), "committed")
            case commands.DropTurn(item_id=item_id):
                _end(self._transcriptions.pop(item_id, None))
            case commands.Speculate(reply_id=reply_id, request=request):
                self._begin_chat(reply_id, request.model, speculative=True)
            case commands.StartReply(response_id=response_id, request=request):
                self._begin_chat(response_id, request.model, speculative=False)
            case commands.Speak(response_id=response_id) if response_id not in self._speeches:
                self._speeches[response_id] = self._tracer.start("speech", self._turn_of(response_id))
            case commands.DropSpeculation(reply_id=reply_id):
                _end(self._chats.pop(reply_id, None))
                self._replies.pop(reply_id, None)
            case events.ResponseDone(response=response):
                self._end_reply(response)

    def end(self, reason: commands.EndReason) -> None:
        """The session is over."""
        unfinished = (self._transcriptions, self._chats, self._speeches, self._turns)
        for span in [span for spans in unfinished for span in spans.values()] + list(self._replies.values()):
            _end(span)
        self._session.set_attribute("mistral_voice.end_reason", reason.value)
        self._session.end()

    def _begin_chat(self, reply_id: str, model: str, *, speculative: bool) -> None:
        if reply_id not in self._chats:
            self._chats[reply_id] = self._tracer.start("chat", self._turn_of(reply_id), model=model, speculative=speculative)

    def _turn_of(self, reply_id: str) -> "Span":
        """Return the newest turn, which this reply answers; one without a voice if the client asked for the reply."""
        if reply_id not in self._replies:
            spoken = next(reversed(self._turns.values()), None)
            self._replies[reply_id] = spoken or self._tracer.start("turn", self._session)
        return self._replies[reply_id]

    def _end_reply(self, response: events.ResponseView) -> None:
        for spans in (self._chats, self._speeches):
            _end(spans.pop(response.id, None))
        turn = self._replies.pop(response.id, None)
        if turn is None:
            return
        turn.set_attribute("mistral_voice.response_status", response.status.value)
        _end(turn, response.fault)
        self._turns = {item_id: span for item_id, span in self._turns.items() if span is not turn}

    def _end_answered_turns(self) -> None:
        """Turns that got no reply and await none: nobody spoke a word in them."""
        for item_id in [item_id for item_id in self._turns if item_id not in self._transcriptions]:
            span = self._turns[item_id]
            if all(span is not turn for turn in self._replies.values()):
                _end(self._turns.pop(item_id))


def _first(span: "Span | None", name: str) -> None:
    if span is not None and all(event.name != name for event in getattr(span, "events", ())):
        span.add_event(name)


def _end(span: "Span | None", fault: Fault | None = None) -> None:
    if span is None:
        return
    if fault is not None:
        from opentelemetry.trace import Status, StatusCode

        span.set_attribute("error.type", fault.kind.value)
        span.set_status(Status(StatusCode.ERROR))
    if span.is_recording():
        span.end()
