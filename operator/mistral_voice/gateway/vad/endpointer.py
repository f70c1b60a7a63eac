"""When a caller begins and ends to speak, from the probability of voice in each frame. Pure."""

from msgspec import Struct

from mistral_voice.gateway.session.config import ServerVad

FRAME_MS = 32
"""Silero's frame."""
CONFIRMING_FRAMES = 3
"""Voice in so many frames of a run makes speech: a click or a knock is shorter."""
RELEASE = 0.15
"""Speech goes on down to so much below the threshold."""


class Started(Struct, frozen=True):
    """Speech began with the frame that starts here."""

    at_ms: int


class Stopped(Struct, frozen=True):
    """Speech ended; the agreed silence ends here."""

    at_ms: int


class Endpointer:
    """Follows one caller. Positions are milliseconds of input audio; `begins_ms` is where the first frame starts."""

    def __init__(self, settings: ServerVad, begins_ms: int) -> None:
        self._settings = settings
        self._position_ms = begins_ms
        self._speaking = False
        self._onset_ms: int | None = None
        self._voiced = 0
        self._unvoiced = 0
        self._last_voice_ms = begins_ms

    @property
    def is_idle(self) -> bool:
        """Whether neither speech nor the beginning of it is heard."""
        return not self._speaking and self._onset_ms is None

    @property
    def position_ms(self) -> int:
        """How far the input audio has been judged."""
        return self._position_ms

    def frame(self, probability: float) -> Started | Stopped | None:
        """Judge the next frame."""
        start_ms = self._position_ms
        self._position_ms += FRAME_MS
        if self._speaking:
            return self._while_speaking(probability)
        return self._while_silent(probability, start_ms)

    def _while_silent(self, probability: float, start_ms: int) -> Started | None:
        if probability < self._settings.threshold:
            self._unvoiced += 1
            if self._unvoiced > 1:
                self._onset_ms = None
            return None
        if self._onset_ms is None:
            self._onset_ms, self._voiced = start_ms, 0
        self._voiced += 1
        self._unvoiced = 0
        if self._voiced < CONFIRMING_FRAMES:
            return None
        onset, self._onset_ms = self._onset_ms, None
        self._speaking = True
        self._last_voice_ms = self._position_ms
        return Started(onset)

    def _while_speaking(self, probability: float) -> Stopped | None:
        if probability >= max(self._settings.threshold - RELEASE, 0.01):
            self._last_voice_ms = self._position_ms
            return None
        if self._position_ms - self._last_voice_ms < self._settings.silence_duration_ms:
            return None
        self._speaking = False
        self._unvoiced = 0
        return Stopped(self._position_ms)
