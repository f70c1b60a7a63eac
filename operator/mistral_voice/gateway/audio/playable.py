"""Speech as Mistral gives it (float32, 24 kHz) into audio as a client plays it."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.session.audio_format import AudioFormat

if TYPE_CHECKING:
    import soxr

SPEECH_RATE_HZ = 24_000
"""Sample rate of Mistral's speech."""
_FULL_SCALE = 32767.0

Floats = npt.NDArray[np.float32]


class Playable:
    """Converts one reply's speech, little-endian float32 cut anywhere, into a format. Values beyond ±1 are clipped, NaN is silence.

    For 8 kHz the resampler goes on from piece to piece, also over the joins of segments, so that no join is heard; `finish` gives what it
    still holds back.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._rest = b""
        self._resampler = _resampler(audio_format.sample_rate_hz) if audio_format.sample_rate_hz != SPEECH_RATE_HZ else None

    @property
    def holds_back(self) -> bool:
        """Whether the end of what was converted comes with what follows, or with `finish`."""
        return self._resampler is not None

    def convert(self, speech: bytes) -> bytes:
        """Return what can be played by now."""
        data = self._rest + speech if self._rest else speech
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        samples = _within_full_scale(np.frombuffer(data, dtype="<f4", count=whole // 4))
        if self._resampler is None:
            return self._written(samples)
        return self._written(np.clip(self._resampler.resample_chunk(samples.astype(np.float32, copy=False)), -1.0, 1.0))

    def cut(self) -> None:
        """A segment ends here: half a sample that is left is none."""
        self._rest = b""

    def finish(self) -> bytes:
        """Return what was held back; the reply ends here."""
        self._rest = b""
        if self._resampler is None:
            return b""
        return self._written(np.clip(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True), -1.0, 1.0))

    def _written(self, samples: Floats) -> bytes:
        whole = (samples * _FULL_SCALE).astype("<i2")
        return whole.tobytes() if self._format is AudioFormat.PCM else g711.encoded(whole.astype(np.int16, copy=False), self._format)


def _resampler(rate_hz: int) -> "soxr.ResampleStream":
    import soxr  # only a telephone needs it

    return soxr.ResampleStream(SPEECH_RATE_HZ, rate_hz, 1, dtype="float32", quality="HQ")


def _within_full_scale(samples: Floats) -> Floats:
    # Nearly always they are, and looking costs a tenth of clipping. With NaN among them both comparisons are false.
    if not len(samples) or (samples.min() >= -1.0 and samples.max() <= 1.0):
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
