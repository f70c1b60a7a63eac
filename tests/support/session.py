"""A session core in a test's hands, and a ledger that knows the protocol's rules."""

from collections.abc import Iterable
from typing import Any, TypeVar

from mistral_voice.gateway.session import commands, events
from mistral_voice.gateway.session.config import SessionPatch
from mistral_voice.gateway.session.core import Session
from mistral_voice.gateway.session.inputs import Input
from mistral_voice.gateway.session.items import Item, Message
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.gateway.session.policy import SessionPolicy
from tests.support.response_ledger import ResponseLedger
from tests.support.wire_events import WireCheck

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

    def __init__(self, policy: SessionPolicy | None = None, wishes: SessionPatch | None = None) -> None:
        self.now_ms = 1000.0
        self.session = Session("sess_1", policy or a_policy(), Ids(), self.now_ms, expires_at=1_800_000_000)
        self.ledger = Ledger()
        self._wire = WireCheck()
        self.outputs: list[Output] = []
        self._keep(self.session.start(wishes))

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
            if isinstance(output, events.Event):
                self._wire.enter(output)
        self.outputs += outputs
        return outputs


def only(kind: type[T], outputs: Iterable[Output]) -> list[T]:
    """Return the outputs of a kind."""
    return [output for output in outputs if isinstance(output, kind)]


def names(outputs: Iterable[Output]) -> list[str]:
    """Return the events among outputs, by name."""
    return [type(output).__name__ for output in outputs if isinstance(output, events.Event)]


def message(item: Item) -> Message:
    """Return an item that has to be a message."""
    assert isinstance(item, Message)
    return item


class Ledger:
    """Checks each output against the rules; `open_things` is what was begun and not yet ended."""

    def __init__(self) -> None:
        self.responses = ResponseLedger()
        self._seen_items: set[str] = set()
        self._done_items: set[str] = set()
        self._turns: dict[str, str] = {}
        self._speaking: str | None = None
        self._silence: str | None = None
        self._transcribed: set[str] = set()
        self.ended = False

    @property
    def live(self) -> str | None:
        """The id of the conversation's live response."""
        return self.responses.live

    @property
    def open_things(self) -> list[str]:
        """What was begun and has not ended."""
        return [
            *self.responses.open_responses,
            *(self._seen_items - self._done_items),
            *(turn for turn, state in self._turns.items() if state == "open"),
        ]

    def enter(self, output: Output) -> None:
        """Check the next output."""
        assert not self.ended, f"{output} after the end"
        self.responses.enter(output)
        check = getattr(self, f"_on_{type(output).__name__}", None)
        if check is not None:
            check(output)

    def _on_ItemAdded(self, event: events.ItemAdded) -> None:
        assert event.item.id not in self._seen_items, "an item was added twice"
        assert event.item.id not in self.responses.items_out_of_band
        assert event.previous_item_id is None or event.previous_item_id in self._seen_items
        self._seen_items.add(event.item.id)

    def _on_ItemDone(self, event: events.ItemDone) -> None:
        assert event.item.id in self._seen_items
        assert event.item.id not in self._done_items, "an item was done twice"
        self._done_items.add(event.item.id)

    def _on_SpeechStarted(self, event: events.SpeechStarted) -> None:
        assert self._speaking is None
        assert self._turns[event.item_id] == "open"
        self._speaking = event.item_id

    def _on_SpeechStopped(self, event: events.SpeechStopped) -> None:
        assert self._speaking == event.item_id
        self._speaking = None

    def _on_IdleTimedOut(self, event: events.IdleTimedOut) -> None:
        assert self._speaking is None
        assert "open" not in self._turns.values(), "a silence within a turn"
        assert self.responses.live is None
        assert event.audio_start_ms <= event.audio_end_ms
        self._silence, self._turns[event.item_id] = event.item_id, "silent"

    def _on_AudioCommitted(self, event: events.AudioCommitted) -> None:
        assert self._turns[event.item_id] == "finished" or event.item_id == self._silence
        assert self._speaking is None, "a commit within speech"

    def _on_AudioCleared(self, _: events.AudioCleared) -> None:
        assert self._speaking is None, "speech that was cleared and has not stopped"

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

    def _on_Detect(self, command: commands.Detect) -> None:
        assert not command.speaking or self._speaking is not None, "a detector that waits for the end of nothing"

    def _on_FinishTurn(self, command: commands.FinishTurn) -> None:
        assert self._turns[command.item_id] == "open"
        self._turns[command.item_id] = "finished"

    def _on_RetryTurn(self, command: commands.RetryTurn) -> None:
        assert self._turns[command.item_id] in ("open", "finished")

    def _on_DropTurn(self, command: commands.DropTurn) -> None:
        assert self._turns[command.item_id] in ("open", "finished")
        self._turns[command.item_id] = "dropped"

    def _on_EndSession(self, _: commands.EndSession) -> None:
        assert not self.open_things
        self.ended = True
