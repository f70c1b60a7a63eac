"""The input audio buffer: positions, the open turn, and turns whose transcript is awaited."""

from msgspec import Struct

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.overlap import Overlap

TRANSCRIPT_QUIET_MS = 2000.0
"""A committed turn's transcript is final when it has words and none came for so long, even if the upstream doesn't say that it is done."""
TRANSCRIPT_DEADLINE_MS = 8000.0
"""A committed turn without a final transcript after so long has failed, or is final with the words it has."""
TRANSCRIPT_RETRY_MS = 3000.0
"""A committed turn of which no word has come for so long is transcribed anew, once."""
STALLED_MS = 5000.0
"""While detection hears the caller speak, text is to come at least so often; else the turn is transcribed anew, once."""
SHORTEST_COMMIT_MS = 100
"""A client can't commit less audio than this."""
MOST_AWAITED_TURNS = 16
"""Committed turns whose transcript may be awaited at once."""


class OpenTurn(Struct, frozen=True):
    """A turn that is being spoken. `from_ms` is where its audio begins.

    `detected`: voice activity ends it, not the client's commit. `announced`: the client knows that the caller speaks.
    """

    item_id: str
    from_ms: int
    detected: bool = False
    announced: bool = False


class PendingTurn(Struct):
    """A turn whose transcript is awaited, from its begin on; `committed_ms` None while it is still spoken.

    `visible`: the client sees the transcript. `restarted`: transcription began anew, so deltas that the client saw are void. `done` and
    `fault` tell that no more text comes. `text_due_ms`: when transcription has stalled unless text comes before, None while none is
    expected; `retried`: it stalled before. `presumed_ms` is its length if it seems to be over (since
    `presumed_since_ms`, by the clock), None if it surely goes on. `over` is what it was spoken over.
    """

    item_id: str
    visible: bool
    texts: list[str]
    seconds: float = 0.0
    committed_ms: float | None = None
    last_text_ms: float = 0.0
    replies: bool = False
    restarted: bool = False
    done: bool = False
    fault: Fault | None = None
    text_due_ms: float | None = None
    retried: bool = False
    presumed_ms: int | None = None
    presumed_since_ms: float = 0.0
    over: Overlap | None = None

    def expect_text(self, now_ms: float) -> None:
        """Text has come, or is to come from now on."""
        self.text_due_ms = None if self.retried else now_ms + STALLED_MS

    @property
    def text(self) -> str:
        """The transcript so far."""
        return "".join(self.texts)

    @property
    def deadline_ms(self) -> float | None:
        """When the transcript becomes final by the clock."""
        if self.committed_ms is None:
            return None
        latest = self.committed_ms + TRANSCRIPT_DEADLINE_MS
        if not self.text.strip():
            return latest
        return min(latest, max(self.committed_ms, self.last_text_ms) + TRANSCRIPT_QUIET_MS)


class InputAudio:
    """Counts the client's audio and knows which of it is a turn. `audio_format` is that of the audio to come."""

    def __init__(self, audio_format: AudioFormat = AudioFormat.PCM) -> None:
        self.audio_format = audio_format
        self._format_since_ms = 0
        self._written = 0
        self._begins_ms = 0
        self._odd = b""
        self.turn: OpenTurn | None = None
        self.pending: dict[str, PendingTurn] = {}

    @property
    def position_ms(self) -> int:
        """Milliseconds of audio written in this session."""
        return self._format_since_ms + self._written // self.audio_format.bytes_per_ms

    @property
    def begins_ms(self) -> int:
        """Where the uncommitted audio begins."""
        return self._begins_ms

    @property
    def uncommitted_ms(self) -> int:
        """Milliseconds of uncommitted audio."""
        return self.position_ms - self._begins_ms

    def change_format(self, audio_format: AudioFormat) -> None:
        """Audio comes in this format from here on; what is uncommitted of the former one is forgotten. No turn may be open."""
        if self.turn is not None:
            raise AssertionError("The format can't change within a turn.")
        self._format_since_ms = self._begins_ms = self.position_ms
        self._written = 0
        self._odd = b""
        self.audio_format = audio_format

    def skip(self, length_ms: int) -> tuple[int, int]:
        """Take the newest audio, of so much at the most, out of the buffer; returns where it begins and ends. No turn may be open."""
        if self.turn is not None:
            raise AssertionError("Audio of an open turn can't be skipped.")
        end_ms = self.position_ms
        start_ms = max(self._begins_ms, end_ms - length_ms)
        self._begins_ms = end_ms
        return start_ms, end_ms

    def write(self, audio: bytes) -> bytes:
        """Count audio and return its whole samples; half a sample waits for its other half."""
        width = self.audio_format.bytes_per_sample
        if self._odd or len(audio) % width:
            audio = self._odd + audio
            whole = len(audio) - len(audio) % width
            self._odd, audio = audio[whole:], audio[:whole]
        self._written += len(audio)
        return audio

    def open_turn(self, turn: OpenTurn, *, visible: bool) -> None:
        """A turn begins. `visible`: the client wants to see its transcript."""
        self.turn = turn
        self.pending[turn.item_id] = PendingTurn(turn.item_id, visible, [])

    def close_turn(self, to_ms: int, now_ms: float, *, replies: bool) -> PendingTurn:
        """The open turn ends at this position; its transcript is awaited. `replies`: a reply follows by itself."""
        turn = self.turn
        if turn is None:
            raise AssertionError("There is no open turn to close.")
        pending = self.pending[turn.item_id]
        pending.committed_ms = now_ms
        pending.seconds = max(0, to_ms - turn.from_ms) / 1000
        pending.replies = replies
        pending.text_due_ms = None if pending.retried or pending.text.strip() else now_ms + TRANSCRIPT_RETRY_MS
        self.turn = None
        self._begins_ms = max(self._begins_ms, to_ms)
        return pending

    def drop_turn(self) -> str | None:
        """Forget the uncommitted audio and the open turn; return the turn's item id."""
        self._begins_ms = self.position_ms
        self._odd = b""
        turn, self.turn = self.turn, None
        if turn is None:
            return None
        del self.pending[turn.item_id]
        return turn.item_id

    @property
    def awaits_transcript(self) -> bool:
        """Whether a committed turn's transcript is awaited."""
        return any(turn.committed_ms is not None for turn in self.pending.values())

    @property
    def oldest_in_excess(self) -> PendingTurn | None:
        """The turn to give up before another is committed, if as many as may be are awaited already."""
        awaited = [turn for turn in self.pending.values() if turn.committed_ms is not None]
        return awaited[0] if len(awaited) >= MOST_AWAITED_TURNS else None

    def stalled(self, now_ms: float) -> list[PendingTurn]:
        """Return the turns whose transcription has stalled."""
        return [turn for turn in self.pending.values() if turn.text_due_ms is not None and turn.text_due_ms <= now_ms]

    def due(self, now_ms: float) -> list[PendingTurn]:
        """Return the turns whose transcript is final by the clock."""
        return [turn for turn in self.pending.values() if turn.deadline_ms is not None and turn.deadline_ms <= now_ms]

    @property
    def deadline_ms(self) -> float | None:
        """The earliest of the transcripts' deadlines."""
        deadlines = [at for turn in self.pending.values() for at in (turn.deadline_ms, turn.text_due_ms) if at is not None]
        return min(deadlines, default=None)
