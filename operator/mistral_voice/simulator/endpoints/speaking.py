"""What both ways to speech share: samples to bytes, chunks to events, usage."""

import struct

import numpy as np

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.dialect import Dialect, SampleFormat
from mistral_voice.simulator.wire.usage import Usage, count_tokens, usage

SIMULATED_FORMATS = ("pcm", "wav")
_AUDIO_TOKENS_PER_SECOND = 12.5
_UNKNOWN_LENGTH = 0xFFFFFFFF


def pcm_bytes(samples: Samples, dialect: Dialect) -> bytes:
    """Return samples as the dialect writes `pcm`."""
    if dialect.speech_sample_format is SampleFormat.FLOAT32:
        return samples.astype("<f4", copy=False).tobytes()
    return int16_bytes(samples)


def int16_bytes(samples: Samples) -> bytes:
    """Return samples as 16-bit integers, little-endian."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def wav_header(sample_rate: int, data_bytes: int | None) -> bytes:
    """Return the header of a mono 16-bit WAV; an unknown length is written as the largest."""
    size = _UNKNOWN_LENGTH if data_bytes is None else data_bytes
    riff = _UNKNOWN_LENGTH if data_bytes is None else 36 + data_bytes
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16, b"data", size)


def speech_usage(text: str, audio_seconds: float) -> Usage:
    """Return the usage of a generation."""
    return usage(count_tokens(text), round(audio_seconds * _AUDIO_TOKENS_PER_SECOND))
