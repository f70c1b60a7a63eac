"""Audio as clients send it: decoded to samples, and measured."""

import io
import math
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono samples from -1 to 1."""

ENCODINGS = ("pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw")
SAMPLE_RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
MAX_APPEND_BYTES = 262_144
_WIDTHS = {"pcm_s16le": 2, "pcm_s32le": 4, "pcm_f16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}


def bytes_per_sample(encoding: str) -> int:
    """Return the width of a sample in bytes."""
    return _WIDTHS[encoding]


class AudioDecoder:
    """Turns bytes of one encoding into samples. A sample may be cut in two by a message's end: the rest is kept for the next."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._width = _WIDTHS[encoding]
        self._rest = b""

    def decode(self, data: bytes) -> Samples:
        """Return the samples that are whole with this data."""
        data = self._rest + data if self._rest else data
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        data = data[:whole]
        match self._encoding:
            case "pcm_s16le":
                return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
            case "pcm_s32le":
                return (np.frombuffer(data, "<i4").astype(np.float64) / 2147483648).astype(np.float32)
            case "pcm_f16le":
                return _finite(np.frombuffer(data, "<f2").astype(np.float32))
            case "pcm_f32le":
                return _finite(np.frombuffer(data, "<f4").astype(np.float32))
            case "pcm_mulaw":
                return _MULAW[np.frombuffer(data, np.uint8)]
            case _:
                return _ALAW[np.frombuffer(data, np.uint8)]


def read_wav(data: bytes) -> tuple[Samples, int]:
    """Return the first channel of a 16-bit PCM WAV file and its rate in Hz. Raises ValueError for anything else."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            if file.getsampwidth() != 2 or not 4_000 <= file.getframerate() <= 192_000:
                raise ValueError("Only 16-bit PCM from 4 to 192 kHz is understood.")
            frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            mono = frames[: len(frames) - len(frames) % file.getnchannels()].reshape(-1, file.getnchannels())[:, 0]
            return mono.astype(np.float32) / np.float32(32768), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"Not a WAV file: {error}") from error


def loudness_dbfs(samples: Samples) -> float:
    """Return the root mean square of the samples in dB below full scale; silence is -infinity."""
    if not len(samples):
        return -math.inf
    power = float(np.dot(samples, samples)) / len(samples)
    return 10 * math.log10(power) if power > 0 else -math.inf


def _finite(samples: Samples) -> Samples:
    return np.clip(np.nan_to_num(samples), -1, 1)


def _mulaw_table() -> Samples:
    """ITU-T G.711 µ-law to samples."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    linear = np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84)
    table: Samples = (linear / 32768).astype(np.float32)
    return table


def _alaw_table() -> Samples:
    """ITU-T G.711 A-law to samples."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code & 0x70) >> 4
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    linear = np.where(code & 0x80, magnitude, -magnitude)
    table: Samples = (linear / 32768).astype(np.float32)
    return table


_MULAW: NDArray[Any] = _mulaw_table()
_ALAW: NDArray[Any] = _alaw_table()
