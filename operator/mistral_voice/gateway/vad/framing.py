"""Input audio into the model's frames: resampled to 16 kHz, 512 samples each, silent ones told apart."""

import numpy as np
import soxr

from mistral_voice.gateway.session.config import SAMPLE_RATE_HZ as INPUT_RATE_HZ
from mistral_voice.gateway.vad.gate import FULL_SCALE, EnergyGate
from mistral_voice.gateway.vad.silero import FRAME_SAMPLES, SAMPLE_RATE_HZ, Floats


class Framer:
    """Takes PCM16 at 24 kHz, any number of samples at a time."""

    def __init__(self) -> None:
        self._resampler = soxr.ResampleStream(INPUT_RATE_HZ, SAMPLE_RATE_HZ, 1, dtype="int16", quality="LQ")
        self._gate = EnergyGate()
        self._rest = np.zeros(0, dtype=np.int16)

    def frames(self, audio: bytes) -> list[Floats | None]:
        """Return the frames that are whole by now, within ±1; None for one that is silent."""
        samples = np.concatenate((self._rest, self._resampler.resample_chunk(np.frombuffer(audio, dtype="<i2"))))
        whole = len(samples) - len(samples) % FRAME_SAMPLES
        self._rest = samples[whole:]
        return [self._gated(samples[start : start + FRAME_SAMPLES].astype(np.float32)) for start in range(0, whole, FRAME_SAMPLES)]

    def _gated(self, frame: Floats) -> Floats | None:
        mean_square = float(np.dot(frame, frame)) / FRAME_SAMPLES
        return frame / np.float32(FULL_SCALE) if self._gate.opens(mean_square) else None
