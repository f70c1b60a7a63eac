"""The end of a turn by what is said: Mistral's turn events decide; local detection helps out where they fail. Pure."""

from msgspec import Struct

UNNOTICED_MS = 1000.0
"""If Mistral has not noticed a turn so long after local detection has heard the silence at its end, it ends with that silence."""
SHORTEST_MS = 100
"""No turn is shorter, whatever Mistral tells."""
STALLED_MS = 1500.0
"""So long after the end time-out of its own, counted from the silence, Mistral has lost a turn; it ends with that silence."""


class SemanticTurn(Struct):
    """What is known of an open turn that turn events end. Positions are those of the input audio, `quiet_since_ms` is of the clock.

    `noticed`: Mistral has told that the turn began. `voice_at_ms`: where local detection last heard voice begin; `quiet_at_ms`: where it
    has heard silence since, if it has.
    """

    end_timeout_ms: int
    voice_at_ms: int
    noticed: bool = False
    quiet_at_ms: int | None = None
    quiet_since_ms: float = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether local detection hears silence."""
        return self.quiet_at_ms is not None

    @property
    def deadline_ms(self) -> float | None:
        """When the silence that local detection hears ends the turn, since Mistral doesn't."""
        if self.quiet_at_ms is None:
            return None
        return self.quiet_since_ms + (self.end_timeout_ms + STALLED_MS if self.noticed else UNNOTICED_MS)

    def voice(self, at_ms: int) -> None:
        """Local detection hears voice again."""
        self.voice_at_ms, self.quiet_at_ms = at_ms, None

    def quiet(self, at_ms: int, now_ms: float) -> None:
        """Local detection has heard the agreed silence, up to this position."""
        self.quiet_at_ms, self.quiet_since_ms = at_ms, now_ms

    def end_ms(self, from_ms: int, length_ms: int, heard_to_ms: int) -> int:
        """Return where the turn ends that began at `from_ms` and is told to be so long; audio has come up to `heard_to_ms`.

        In less than `SHORTEST_MS` nobody has spoken: that tells no place, and what follows would be taken for the same turn again. Then it
        ends where local detection heard silence, or here.
        """
        if length_ms >= SHORTEST_MS:
            return from_ms + length_ms
        return heard_to_ms if self.quiet_at_ms is None else self.quiet_at_ms

    def goes_on_after(self, at_ms: int) -> bool:
        """Whether there may be voice beyond this position that the detector would not tell of again."""
        return self.quiet_at_ms is None or self.voice_at_ms >= at_ms
