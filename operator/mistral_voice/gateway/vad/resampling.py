"""24 kHz to 16 kHz, a frame of 32 ms at a time, for voice detection.

A resampling library gives its samples out in blocks, up to 20 ms late, and takes four times as long for so little at once. A
millisecond late, and aliases below −50 dB from 8 kHz on, is all that detection needs.
"""

import functools

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mistral_voice.gateway.vad.gate import FULL_SCALE
from mistral_voice.gateway.vad.silero import FRAME_SAMPLES, Floats

INPUT_SAMPLES = FRAME_SAMPLES * 3 // 2
"""Samples of a frame at 24 kHz."""
_TAPS = 96
_CUTOFF = 7000 / 48_000
_HISTORY = _TAPS // 2
_ROW = 24
_ROW_OUT = _ROW * 2 // 3


class Decimator:
    """Resamples one caller's frames, which follow upon each other: each is written into `samples` first. Full scale becomes ±1."""

    def __init__(self) -> None:
        # One row for each 24 samples, with the 48 before them; the rows overlap in one buffer, so that a product with a matrix filters all.
        self._buffer: Floats = np.zeros(_HISTORY + INPUT_SAMPLES, dtype=np.float32)
        self._rows: Floats = as_strided(self._buffer, (INPUT_SAMPLES // _ROW, _HISTORY + _ROW), (_ROW * 4, 4))
        self._before: Floats = np.zeros(_HISTORY, dtype=np.float32)
        self.samples: Floats = self._buffer[_HISTORY:]

    def frame(self) -> Floats:
        """Return the 512 samples for the 768 of `samples`. What was written there and not asked for is left out."""
        self._buffer[:_HISTORY] = self._before
        self._before[:] = self._buffer[-_HISTORY:]
        frame: Floats = self._rows.dot(_filter()).reshape(FRAME_SAMPLES)
        return frame


@functools.cache
def _filter() -> Floats:
    """Return the matrix that takes 72 samples at 24 kHz to the 16 that fall into the last third of them."""
    times = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(2 * _CUTOFF * times) * np.kaiser(_TAPS, 5.6)
    taps *= 2 / taps.sum() / FULL_SCALE
    matrix = np.zeros((_HISTORY + _ROW, _ROW_OUT), dtype=np.float32)
    for output in range(_ROW_OUT):
        for tap in range(_TAPS):
            # Between each two samples stands a zero: of the 48 kHz that result, every third is wanted, and every second is there.
            place = 3 * output - tap
            if place % 2 == 0:
                matrix[_HISTORY + place // 2, output] = taps[tap]
    return matrix
