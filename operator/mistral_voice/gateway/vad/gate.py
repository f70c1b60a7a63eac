"""The energy gate: steady silence is told without asking the model."""

THRESHOLD_DBFS = -55.0
"""Frames below this level are silence: quiet speech into a headset is some 15 dB louder."""
HANGOVER_FRAMES = 30
"""After a louder frame the model is asked for another second, so that it hears a pause in speech as a whole."""
FULL_SCALE = 32768.0


class EnergyGate:
    """Decides for each frame of one caller whether the model has to hear it."""

    def __init__(self) -> None:
        self._threshold = (FULL_SCALE * 10 ** (THRESHOLD_DBFS / 20)) ** 2
        self._open_frames = 0

    def opens(self, mean_square: float) -> bool:
        """Return whether the model hears this frame; `mean_square` is the mean of its squared int16 samples."""
        if mean_square >= self._threshold:
            self._open_frames = HANGOVER_FRAMES
            return True
        self._open_frames = max(0, self._open_frames - 1)
        return self._open_frames > 0
