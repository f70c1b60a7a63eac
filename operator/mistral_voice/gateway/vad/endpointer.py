"""When a caller begins and ends to speak, from the probability of voice in each frame. Pure."""

from msgspec import Struct

from mistral_voice.gateway.session.config import ServerVad
from mistral_voice.gateway.vad.level import CallerLevel

FRAME_MS = 32
"""Silero's frame."""
CONFIRMING_MS = 96
"""So much voice in a run makes speech: a click or a knock is shorter."""
BARGE_IN_MS = 200
"""… and so much while the assistant speaks, when a cough or a bit of echo should not stop it."""
BARGE_IN_THRESHOLD = 0.15
"""While the assistant speaks, the threshold for the beginning of speech is so much higher, for what is left of its echo …"""
HIGHEST_THRESHOLD = 0.9
"""… but never above this."""
RELEASE = 0.15
"""Speech goes on down to so much below the threshold."""


class Suspected(Struct, frozen=True):
    """A first voiced frame: it may be speech."""


class Dismissed(Struct, frozen=True):
    """What was suspected was no speech."""


class Started(Struct, frozen=True):
    """Speech began with the frame that starts here."""

    at_ms: int


class Stopped(Struct, frozen=True):
    """Speech ended; the agreed silence ends here."""

    at_ms: int


Sign = Suspected | Dismissed | Started | Stopped
"""What can be told of a caller. A suspicion is followed by a dismissal or by a start."""


class Endpointer:
    """Follows one caller. Positions are milliseconds of input audio; `begins_ms` is where the first frame starts.

    `guarded`: the assistant speaks, so that what sounds like voice may be its echo, and a wrong start costs more than a late one.
    `level` knows how loud the caller is, and learns. `speaking`: the caller is speaking already when this begins.
    """

    def __init__(self, settings: ServerVad, begins_ms: int, level: CallerLevel | None = None, *, speaking: bool = False) -> None:
        self._settings = settings
        self._level = level or CallerLevel()
        self._position_ms = begins_ms
        self._speaking = speaking
        self._run: list[float] = []
        self._onset_ms: int | None = None
        self._unvoiced = 0
        self._last_voice_ms = begins_ms
        self.guarded = False

    def may_stop(self, within_ms: int) -> bool:
        """Whether the caller's turn is over so much audio later, if there is no voice in it."""
        return self._speaking and self._position_ms + within_ms - self._last_voice_ms >= self._settings.silence_duration_ms

    @property
    def position_ms(self) -> int:
        """How far the input audio has been judged."""
        return self._position_ms

    def frame(self, probability: float, power: float = 1.0) -> Sign | None:
        """Judge the next frame, by its probability of voice and its power (the mean of squared samples within ±1)."""
        self._position_ms += FRAME_MS
        if self._speaking:
            return self._while_speaking(probability, power)
        if self._is_voice(probability):
            return self._voice(power)
        return self._no_voice()

    def _voice(self, power: float) -> Suspected | Started | None:
        self._unvoiced = 0
        self._run = [*self._run[1 - _FRAMES_OF_A_BARGE_IN :], power]
        if self._onset_ms is None:
            if not self._is_loud(power):
                return None
            self._onset_ms = self._position_ms - min(len(self._run), _SOFT_FRAMES) * FRAME_MS
            return Suspected()
        if not self._is_confirmed(self._onset_ms):
            return None
        onset, self._onset_ms = self._onset_ms, None
        self._run = []
        self._speaking = True
        self._last_voice_ms = self._position_ms
        return Started(onset)

    def _is_confirmed(self, onset_ms: int) -> bool:
        if not self.guarded:
            return len(self._run) * FRAME_MS >= CONFIRMING_MS
        lasts = len(self._run) * FRAME_MS >= BARGE_IN_MS and self._position_ms - onset_ms >= BARGE_IN_MS
        return lasts and self._is_loud(sum(self._run) / len(self._run))

    def _no_voice(self) -> Dismissed | None:
        self._unvoiced += 1
        if self._unvoiced == 1:
            return None
        self._run = []
        if self._onset_ms is None:
            return None
        self._onset_ms = None
        return Dismissed()

    def _is_voice(self, probability: float) -> bool:
        threshold = self._settings.threshold
        if self.guarded:
            threshold = max(threshold, min(threshold + BARGE_IN_THRESHOLD, HIGHEST_THRESHOLD))
        return probability >= threshold

    def _is_loud(self, power: float) -> bool:
        return not self.guarded or self._level.may_be_caller(power)

    def _while_speaking(self, probability: float, power: float) -> Stopped | None:
        if probability >= max(self._settings.threshold - RELEASE, 0.01):
            if not self.guarded:
                self._level.learn(power)
            self._last_voice_ms = self._position_ms
            return None
        if self._position_ms - self._last_voice_ms < self._settings.silence_duration_ms:
            return None
        self._speaking = False
        self._unvoiced = 0
        return Stopped(self._position_ms)


_FRAMES_OF_A_BARGE_IN = -(-BARGE_IN_MS // FRAME_MS)
_SOFT_FRAMES = 4
"""Speech may begin softly: so many voiced frames up to the first loud one belong to it."""
