"""Speech as tones: each text has its pitch, so that whoever hears a reply can tell which text it was made from."""

import re
import zlib

import numpy as np

from mistral_voice.simulator.audio import Samples

LOWEST_HZ = 300
STEP_HZ = 50
STEPS = 60
_CANARY = re.compile(r"\btone ?(\d{2,4})\b", re.IGNORECASE)


def tone_hz(text: str) -> int:
    """Return the pitch of a text in Hz.

    It is the number after the word "tone" if the text has one ("tone 750", a multiple of 50); else it follows from the text, from 300 to
    3250 Hz in steps of 50.
    """
    canary = _CANARY.search(text)
    if canary and int(canary[1]) % STEP_HZ == 0 and 50 <= int(canary[1]) <= 7000:
        return int(canary[1])
    return LOWEST_HZ + STEP_HZ * (zlib.crc32(text.strip().encode()) % STEPS)


def tone(hz: int, duration_ms: int, sample_rate: int, amplitude: float) -> Samples:
    """Return a sine. Whole multiples of 20 ms and 50 Hz can be joined without a click."""
    times = np.arange(duration_ms * sample_rate // 1000, dtype=np.float64) / sample_rate
    samples: Samples = (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32)
    return samples


def dominant_hz(samples: Samples, sample_rate: int) -> int:
    """Return the pitch of a tone, to the nearest 50 Hz; 0 for silence or nothing."""
    if not len(samples) or float(np.max(np.abs(samples))) < 1e-3:
        return 0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    peak = int(np.argmax(spectrum)) * sample_rate / len(samples)
    return round(peak / STEP_HZ) * STEP_HZ
