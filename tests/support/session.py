"""A session core in a test's hands, and a ledger that knows the protocol's rules."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from mistral_voice.gateway.session import commands, events
from mistral_voice.gateway.session.core import Session
from mistral_voice.gateway.session.inputs import Input
from mistral_voice.gateway.session.items import PartKind
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.gateway.session.policy import SessionPolicy

T = TypeVar("T")
MS = bytes(48)
"""A millisecond of silence."""
AT_ONCE_MS = 3_600_000.0
"""A lead so long that all audio goes out as it comes."""


def a_policy(**changes: Any) -> SessionPolicy:
    """Return a policy: model `m`, voice `v`, voice activity detection, ten minutes, audio that goes out as it comes."""
    values: dict[str, Any] = {
        "model": "m",
        "voice": "v",
        "models": frozenset({"m", "m2"}),
        "voices": frozenset({"v", "v2"}),
        "instructions": "",
        "manual_turns_only": False,
        "max_duration_ms": 600_000,
        "transcription_model": "stt",
        "speech_model": "tts",
        "lead_ms": AT_ONCE_MS,
    }
    return SessionPolicy(**{**values, **changes})


class Ids:
    """Counts ids up: `item_1`, `item_2`, `resp_3`."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"


class Desk:
    """A session with a clock that the test sets. `outputs` holds everything that came out, `ledger` has checked it."""

    def __init__(self, policy: SessionPolicy | None = None) -> None:
        self.now_ms = 1000.0
        self.session = Session("sess_1", policy or a_policy(), Ids(), self.now_ms, expires_at=1_800_000_000)
        self.ledger = Ledger()
        self.outputs: list[Output] = []
        self._keep(self.session.start(None))

    def give(self, *inputs: Input) -> list[Output]:
        """Hand inputs over and return what came out."""
        produced: list[Output] = []
        for event in inputs:
            produced += self._keep(self.session.handle(event, self.now_ms))
        return produced

    def wait(self, milliseconds: float) -> list[Output]:
        """Let time pass, with a tick whenever the session wants one."""
        from mistral_voice.gateway.session.inputs import Tick

        end = self.now_ms + milliseconds
        produced: list[Output] = []
        while not self.session.has_ended and self.session.deadline_ms <= end:
            self.now_ms = max(self.now_ms, self.session.deadline_ms)
            produced += self.give(Tick())
            assert self.session.has_ended or self.session.deadline_ms > self.now_ms, "a tick at the deadline changed nothing"
        self.now_ms = end
        return produced

    def all(self, kind: type[T]) -> list[T]:
        """Return all outputs of a kind so far."""
        return only(kind, self.outputs)

    def last(self, kind: type[T]) -> T:
        """Return the newest output of a kind."""
        return self.all(kind)[-1]

    def _keep(self, outputs: list[Output]) -> list[Output]:
        for output in outputs:
            self.ledger.enter(output)
        self.outputs += outputs
        return outputs


def only(kind: type[T], outputs: Iterable[Output]) -> list[T]:
    """Return the outputs of a kind."""
    return [output for output in outputs if isinstance(output, kind)]


def names(outputs: Iterable[Output]) -> list[str]:
    """Return the events among outputs, by name."""
    return [type(output).__name__ for output in outputs if isinstance(output, events.Event)]


class Ledger:
    """Checks each output against the rules; `open_things` is what was begun and not yet ended."""

    def __init__(self) -> None:
        self._seen_responses: set[str] = set()
        self._seen_items: set[str] = set()
        self._done_items: set[str] = set()
        self._steps: Iterator[Any] | None = None
        self._live: str | None = None
        self._item: str | None = None
        self._stage = 0
        self._kind: PartKind | None = None
        self._text = ""
        self._turns: dict[str, str] = {}
        self._speaking: str | None = None
        self._transcribed: set[str] = set()
        self._replies: dict[str, int] = {}
        self._dropped: set[str] = set()
        self.ended = False

    @property
    def live(self) -> str | None:
        """The id of the live response."""
        return self._live

    @property
    def open_things(self) -> list[str]:
        """What was begun and has not ended."""
        live = [self._live] if self._live else []
        return [*live, *(self._seen_items - self._done_items), *(turn for turn, state in self._turns.items() if state == "open")]

    def enter(self, output: Output) -> None:
        """Check the next output."""
        assert not self.ended, f"{output} after the end"
        check = getattr(self, f"_on_{type(output).__name__}", None)
        if check is not None:
            check(output)

    def _on_ResponseCreated(self, event: events.ResponseCreated) -> None:
        assert self._live is None, "two live responses"
        assert event.response.id not in self._seen_responses
        assert event.response.status == "in_progress"
        assert not event.response.output
        self._seen_responses.add(event.response.id)
        self._live, self._stage, self._item, self._text, self._kind = event.response.id, 1, None, "", None

    def _step(self, event: Any, *expected: int) -> None:
        assert event.response_id == self._live, f"{event} is not of the live response {self._live}"
        assert self._stage in expected, f"{event} at stage {self._stage}"

    def _on_OutputItemAdded(self, event: events.OutputItemAdded) -> None:
        self._step(event, 1)
        self._item, self._stage = event.item.id, 2

    def _on_ItemAdded(self, event: events.ItemAdded) -> None:
        assert event.item.id not in self._seen_items, "an item was added twice"
        assert event.previous_item_id is None or event.previous_item_id in self._seen_items
        self._seen_items.add(event.item.id)
        if event.item.id == self._item:
            assert self._stage == 2
            self._stage = 3

    def _on_ContentPartAdded(self, event: events.ContentPartAdded) -> None:
        self._step(event, 3)
        assert event.item_id == self._item
        self._kind, self._stage = event.kind, 4

    def _on_TextDelta(self, event: events.TextDelta) -> None:
        self._step(event, 4)
        assert (event.item_id, event.kind) == (self._item, self._kind)
        self._text += event.delta

    def _on_AudioDelta(self, event: events.AudioDelta) -> None:
        self._step(event, 4)
        assert self._kind is PartKind.OUTPUT_AUDIO

    def _on_AudioDone(self, event: events.AudioDone) -> None:
        self._step(event, 4)
        assert self._kind is PartKind.OUTPUT_AUDIO
        self._stage = 5

    def _on_TextDone(self, event: events.TextDone) -> None:
        self._step(event, 5 if self._kind is PartKind.OUTPUT_AUDIO else 4)
        assert event.text == self._text
        self._stage = 6

    def _on_ContentPartDone(self, event: events.ContentPartDone) -> None:
        self._step(event, 6)
        assert event.text == self._text
        self._stage = 7

    def _on_ItemDone(self, event: events.ItemDone) -> None:
        assert event.item.id in self._seen_items
        assert event.item.id not in self._done_items, "an item was done twice"
        self._done_items.add(event.item.id)
        if event.item.id == self._item:
            assert self._stage == 7
            self._stage = 8

    def _on_OutputItemDone(self, event: events.OutputItemDone) -> None:
        self._step(event, 8)
        assert event.item.text == self._text
        self._stage = 9

    def _on_ResponseDone(self, event: events.ResponseDone) -> None:
        assert event.response.id == self._live
        assert self._stage in (1, 9), f"done at stage {self._stage}"
        assert event.response.status != "in_progress"
        assert event.response.usage is not None
        assert [item.id for item in event.response.output] == ([self._item] if self._item else [])
        self._live = self._item = None

    def _on_SpeechStarted(self, event: events.SpeechStarted) -> None:
        assert self._speaking is None
        assert self._turns[event.item_id] == "open"
        self._speaking = event.item_id

    def _on_SpeechStopped(self, event: events.SpeechStopped) -> None:
        assert self._speaking == event.item_id
        self._speaking = None

    def _on_AudioCommitted(self, event: events.AudioCommitted) -> None:
        assert self._turns[event.item_id] == "finished"
        if self._speaking == event.item_id:
            self._speaking = None

    def _on_AudioCleared(self, _: events.AudioCleared) -> None:
        self._speaking = None

    def _on_ItemDeleted(self, event: events.ItemDeleted) -> None:
        self._seen_items.remove(event.item_id)
        self._done_items.remove(event.item_id)

    def _transcript(self, item_id: str) -> None:
        assert self._turns[item_id] != "open", "a transcript of an item that is not there yet"
        assert item_id not in self._transcribed, "an item was transcribed twice"

    def _on_TranscriptionDelta(self, event: events.TranscriptionDelta) -> None:
        self._transcript(event.item_id)

    def _on_TranscriptionCompleted(self, event: events.TranscriptionCompleted) -> None:
        self._transcript(event.item_id)
        self._transcribed.add(event.item_id)

    def _on_TranscriptionFailed(self, event: events.TranscriptionFailed) -> None:
        self._transcript(event.item_id)
        self._transcribed.add(event.item_id)

    def _on_StartTurn(self, command: commands.StartTurn) -> None:
        assert command.item_id not in self._turns
        assert "open" not in self._turns.values(), "two open turns"
        self._turns[command.item_id] = "open"

    def _on_FinishTurn(self, command: commands.FinishTurn) -> None:
        assert self._turns[command.item_id] == "open"
        self._turns[command.item_id] = "finished"

    def _on_DropTurn(self, command: commands.DropTurn) -> None:
        assert self._turns[command.item_id] in ("open", "finished")
        self._turns[command.item_id] = "dropped"

    def _on_StartReply(self, command: commands.StartReply) -> None:
        assert command.response_id == self._live
        assert command.response_id not in self._replies
        assert command.request.messages[-1].role == "user"
        self._replies[command.response_id] = 0

    def _on_Speak(self, command: commands.Speak) -> None:
        assert command.response_id == self._live
        assert command.segment == self._replies[command.response_id]
        assert command.text.strip()
        self._replies[command.response_id] += 1

    def _on_DropReply(self, command: commands.DropReply) -> None:
        assert command.response_id == self._live
        assert command.response_id not in self._dropped
        self._dropped.add(command.response_id)

    def _on_EndSession(self, _: commands.EndSession) -> None:
        assert self._live is None, "the session ended with a live response"
        assert not self.open_things
        self.ended = True
