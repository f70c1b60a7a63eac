"""Input audio into the model's frames of 32 ms, silent ones told apart.

The model knows two rates: audio of 24 kHz is resampled to 16 kHz, audio of 8 kHz is judged as it is.
"""

import numpy as np
import soxr

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.vad.gate import FULL_SCALE, EnergyGate
from mistral_voice.gateway.vad.silero import FRAME_SAMPLES, SAMPLE_RATE_HZ, Floats


class Framer:
    """Takes audio of one format, any number of whole samples at a time."""

    def __init__(self, audio_format: AudioFormat = AudioFormat.PCM) -> None:
        self._format = audio_format
        self._resampler: soxr.ResampleStream | None = None
        self._frame_samples = FRAME_SAMPLES
        if audio_format is AudioFormat.PCM:
            self._resampler = soxr.ResampleStream(audio_format.sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="int16", quality="LQ")
        else:
            self._frame_samples = FRAME_SAMPLES * audio_format.sample_rate_hz // SAMPLE_RATE_HZ
        self._gate = EnergyGate()
        self._rest = np.zeros(0, dtype=np.int16)

    def frames(self, audio: bytes) -> list[Floats | None]:
        """Return the frames that are whole by now, within ±1; None for one that is silent."""
        samples = np.concatenate((self._rest, self._samples(audio)))
        length = self._frame_samples
        whole = len(samples) - len(samples) % length
        self._rest = samples[whole:]
        return [self._gated(samples[start : start + length].astype(np.float32)) for start in range(0, whole, length)]

    def _samples(self, audio: bytes) -> g711.Int16s:
        if self._resampler is None:
            return g711.decoded(audio, self._format)
        samples: g711.Int16s = self._resampler.resample_chunk(np.frombuffer(audio, dtype="<i2"))
        return samples

    def _gated(self, frame: Floats) -> Floats | None:
        mean_square = float(np.dot(frame, frame)) / len(frame)
        return frame / np.float32(FULL_SCALE) if self._gate.opens(mean_square) else None
