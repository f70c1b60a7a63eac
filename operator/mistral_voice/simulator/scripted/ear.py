"""The scripted ear: what it hears is written down; when, is told by the audio it gets."""

from collections import deque
from collections.abc import Sequence

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.dialect import Dialect, LastWords
from mistral_voice.simulator.energy import Edge, EnergyDetector, EnergySettings
from mistral_voice.simulator.script import DeltaScript, Listening, TranscriptionScript, TurnScript
from mistral_voice.simulator.temperament import Heard
from mistral_voice.simulator.wire.transcription import (
    Language,
    ServerEvent,
    Session,
    TextDelta,
    TurnEagerEnd,
    TurnEnd,
    TurnResume,
    TurnStart,
)

_DEFAULT_END_MS = 500


class ScriptedEar:
    """One session's ear. All its times are audio time, so the same audio always gives the same events."""

    def __init__(self, session: Session, script: TranscriptionScript, turns: Sequence[TurnScript], dialect: Dialect) -> None:
        self._script = script
        self._turns = turns
        self._dialect = dialect
        self._tells_turns = session.turn_detection is not None or dialect.turn_detection_by_default
        self._rate = session.audio_format.sample_rate
        end_ms = session.turn_detection.min_silence_ms if session.turn_detection else _DEFAULT_END_MS
        self._detector = EnergyDetector(self._rate, EnergySettings(script.threshold_dbfs, script.start_ms, script.eager_end_ms, end_ms))
        self._samples = 0
        self._turns_started = 0
        self._turn: TurnScript | None = None
        self._turn_started_ms = 0.0
        self._deltas: deque[DeltaScript] = deque()
        self._marks: deque[tuple[Edge, float]] = deque()
        self._withheld = ""
        self._language: str | None = None

    async def hear(self, samples: Samples) -> Sequence[Heard]:
        """Take audio in and return what it gives rise to."""
        self._samples += len(samples)
        match self._script.listening:
            case Listening.ENERGY:
                return self._hear_energy(samples)
            case Listening.OFFSETS:
                return self._hear_offsets()
            case Listening.ANYTHING:
                started = self._start(self._position_ms()) if self._turn is None else []
                return [*started, *self._due(self._position_ms())]

    async def flush(self) -> Sequence[Heard]:
        """End the present turn and return the rest of its text."""
        if self._turn is None:
            return []
        self._detector.cut_turn()
        return self._rest_of_turn()

    async def end(self) -> Sequence[Heard]:
        """Return the rest of the text, withheld words included."""
        return [*await self.flush(), *self._release()]

    async def close(self) -> None:
        """Nothing to give up."""

    def _position_ms(self) -> float:
        return self._samples * 1000 / self._rate

    def _hear_energy(self, samples: Samples) -> list[Heard]:
        heard: list[Heard] = []
        self._detector.holds_turn = self._turn is not None and self._turn.waits_for_words and len(self._deltas) > 1
        for edge, position_ms in self._detector.feed(samples):
            if edge is not None:
                heard += self._apply(edge, position_ms)
            heard += self._due(position_ms)
        return heard

    def _hear_offsets(self) -> list[Heard]:
        now = self._position_ms()
        heard: list[Heard] = []
        while (mark := self._next_mark()) is not None and mark[1] <= now:
            edge, at_ms = mark
            if edge is not Edge.START:
                self._marks.popleft()
            heard += self._due(at_ms)
            heard += self._apply(edge, at_ms)
        return [*heard, *self._due(now)]

    def _next_mark(self) -> tuple[Edge, float] | None:
        """Return the next edge that the script sets, and where in the session's audio it is."""
        if self._turn is not None:
            return self._marks[0] if self._marks else None
        if self._turns_started >= len(self._turns):
            return None
        start_ms = self._turns[self._turns_started].start_ms
        return None if start_ms is None else (Edge.START, start_ms)

    def _apply(self, edge: Edge, position_ms: float) -> list[Heard]:
        match edge:
            case Edge.START:
                spoken_ms = self._script.start_ms if self._script.listening is Listening.ENERGY else 0
                return self._start(position_ms - spoken_ms)
            case Edge.EAGER_END:
                return self._tell(TurnEagerEnd(position_ms / 1000))
            case Edge.RESUME:
                return self._tell(TurnResume(position_ms / 1000))
            case Edge.END:
                return self._finish(position_ms)

    def _start(self, started_ms: float) -> list[Heard]:
        released = self._release()
        turn = self._upcoming()
        first = self._turns_started == 0
        self._turns_started += 1
        self._turn, self._turn_started_ms = turn, started_ms
        self._deltas = deque(_deltas(turn, leading_space=not first))
        offsets = ((Edge.EAGER_END, turn.eager_end_ms), (Edge.RESUME, turn.resume_ms), (Edge.END, turn.end_ms))
        self._marks = deque((edge, at_ms) for edge, at_ms in offsets if at_ms is not None)
        heard = [*released, *self._tell(TurnStart(max(0.0, started_ms) / 1000))]
        if turn.language is not None and turn.language != self._language:
            self._language = turn.language
            heard.append(Heard(Language(turn.language)))
        return heard

    def _upcoming(self) -> TurnScript:
        if not self._turns or (self._turns_started >= len(self._turns) and not self._script.repeat):
            return TurnScript(text="", language=None)
        return self._turns[self._turns_started % len(self._turns)]

    def _due(self, position_ms: float) -> list[Heard]:
        """Return the pieces of text that are due. The last one waits for the turn's end, unless the script gives it a time."""
        heard = []
        waiting = 0 if self._turn is not None and self._turn.deltas else 1
        while len(self._deltas) > waiting and self._turn_started_ms + self._deltas[0].at_ms <= position_ms:
            heard.append(Heard(TextDelta(self._deltas.popleft().text)))
        return heard

    def _finish(self, position_ms: float) -> list[Heard]:
        after_end, reason = (self._turn.text_after_end, self._turn.end_reason) if self._turn else (False, "threshold")
        text = self._rest_of_turn()
        ended = self._tell(TurnEnd(position_ms / 1000, reason))
        return [*ended, *text] if after_end else [*text, *ended]

    def _rest_of_turn(self) -> list[Heard]:
        """End the turn and return what remains of its text."""
        delay_ms = self._turn.final_delay_ms if self._turn else 0
        rest = "".join(delta.text for delta in self._deltas)
        self._turn = None
        self._deltas.clear()
        self._marks.clear()
        if self._dialect.last_words is LastWords.AT_END:
            cut = max(0, rest.rstrip().rfind(" "))
            rest, self._withheld = rest[:cut], self._withheld + rest[cut:]
        return [Heard(TextDelta(rest), delay_ms)] if rest else []

    def _release(self) -> list[Heard]:
        withheld, self._withheld = self._withheld, ""
        return [Heard(TextDelta(withheld))] if withheld else []

    def _tell(self, event: ServerEvent) -> list[Heard]:
        return [Heard(event)] if self._tells_turns else []


def _deltas(turn: TurnScript, *, leading_space: bool) -> list[DeltaScript]:
    """Return the pieces of a turn's text with their times from the turn's start; a later turn's text begins with a space."""
    deltas = list(turn.deltas)
    if not deltas and turn.word_ms > 0:
        words = turn.text.split(" ")
        texts = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
        deltas = [DeltaScript(text=text, at_ms=(number + 1) * turn.word_ms) for number, text in enumerate(texts)]
    elif not deltas and turn.text:
        deltas = [DeltaScript(text=turn.text)]
    if leading_space and deltas and not deltas[0].text[:1].isspace():
        deltas[0] = DeltaScript(text=f" {deltas[0].text}", at_ms=deltas[0].at_ms)
    return deltas
