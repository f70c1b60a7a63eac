"""Input audio into the model's frames of 32 ms, silent ones told apart.

The model knows two rates: audio of 24 kHz is resampled to 16 kHz, audio of 8 kHz is judged as it is. Silence, which is most of a
conversation, is told before it is resampled.
"""

import numpy as np

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.vad.endpointer import FRAME_MS
from mistral_voice.gateway.vad.gate import FULL_SCALE, EnergyGate
from mistral_voice.gateway.vad.resampling import Decimator
from mistral_voice.gateway.vad.silero import Floats

_INT16, _FLOAT32 = np.dtype("<i2"), np.dtype(np.float32)
_SCALE = np.float32(1 / FULL_SCALE)


class Framer:
    """Takes audio of one format, any number of whole samples at a time."""

    def __init__(self, audio_format: AudioFormat = AudioFormat.PCM) -> None:
        self._format = audio_format
        self._frame_bytes = FRAME_MS * audio_format.bytes_per_ms
        self._rest = b""
        self._gate = EnergyGate()
        self._decimator = Decimator() if audio_format is AudioFormat.PCM else None

    def frames(self, audio: bytes) -> list[Floats | None]:
        """Return the frames that are whole by now, within ±1; None for one that is silent."""
        audio = self._rest + audio
        length = self._frame_bytes
        whole = len(audio) - len(audio) % length
        self._rest = audio[whole:]
        return [self._frame(audio[start : start + length]) for start in range(0, whole, length)]

    def _frame(self, audio: bytes) -> Floats | None:
        decimator = self._decimator
        if decimator is None:
            samples: Floats = g711.decoded(audio, self._format).astype(_FLOAT32)
            return samples * _SCALE if self._is_heard(samples) else None
        decimator.samples[:] = np.frombuffer(audio, _INT16)
        return decimator.frame() if self._is_heard(decimator.samples) else None

    def _is_heard(self, samples: Floats) -> bool:
        return self._gate.opens(float(samples.dot(samples)) / len(samples))
