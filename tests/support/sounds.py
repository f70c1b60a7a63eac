"""What callers' microphones pick up beside their words: coughs, a television, the assistant's own voice. PCM16 mono at 24 kHz."""

import numpy as np
import numpy.typing as npt

from tests.support.speech import RATE_HZ, silence, speech

Floats = npt.NDArray[np.float64]


def samples_of(audio: bytes) -> Floats:
    """Return audio as numbers within ±1."""
    return np.frombuffer(audio, "<i2").astype(np.float64) / 32768


def pcm_of(samples: Floats) -> bytes:
    """Return numbers within ±1 as audio; what is louder is clipped."""
    data: bytes = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    return data


def louder(audio: bytes, decibels: float) -> bytes:
    """Return the audio, amplified; quieter with a negative number."""
    return pcm_of(samples_of(audio) * 10 ** (decibels / 20))


def mixed(*pieces: bytes) -> bytes:
    """Return pieces of audio sounding together, as long as the longest."""
    total = np.zeros(max(len(piece) for piece in pieces) // 2)
    for piece in pieces:
        total[: len(piece) // 2] += samples_of(piece)
    return pcm_of(total)


def cough(seed: int) -> bytes:
    """Return one or two coughs: a burst of breath through an open throat, a rustle, sometimes a voiced end. No two seeds sound the same."""
    random = np.random.default_rng(seed)
    coughs = [_one_cough(random) for _ in range(1 + seed % 2)]
    pause = np.zeros(int(RATE_HZ * random.uniform(0.12, 0.25)))
    return pcm_of(np.concatenate([part for one in coughs for part in (one, pause)]))


def _one_cough(random: np.random.Generator) -> Floats:
    burst = _shaped_noise(random, random.uniform(0.04, 0.07), ((700, 250), (1500, 500), (2800, 900)), 0.5)
    rustle = _shaped_noise(random, random.uniform(0.1, 0.2), ((1000, 600), (2500, 1500), (4500, 2000)), 0.35) * 0.45
    voiced_seconds = random.uniform(0.0, 0.08)
    times = np.arange(int(RATE_HZ * voiced_seconds)) / RATE_HZ
    pitch = random.uniform(110, 220) * (1 - times)
    voiced = sum(np.sin(2 * np.pi * np.cumsum(pitch) * harmonic / RATE_HZ) / harmonic for harmonic in range(1, 12)) * 0.15
    cough: Floats = np.concatenate([burst, rustle, np.asarray(voiced) * np.linspace(1, 0, len(times))])
    cough *= random.uniform(0.3, 0.9) / np.abs(cough).max()
    return cough


def _shaped_noise(random: np.random.Generator, seconds: float, bands: tuple[tuple[float, float], ...], decay: float) -> Floats:
    """Return noise that sounds through a throat: centre and width of each resonance in hertz."""
    count = int(RATE_HZ * seconds)
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / RATE_HZ)
    gain = sum(np.exp(-(((frequencies - centre * random.uniform(0.85, 1.15)) / width) ** 2)) for centre, width in bands)
    sound = np.fft.irfft(spectrum * gain, count)
    envelope = np.minimum(1, np.arange(count) / (0.004 * RATE_HZ)) * np.exp(-np.arange(count) / (decay * count))
    shaped: Floats = sound / np.abs(sound).max() * envelope
    return shaped


def television(text: str, level_db: float, seed: int) -> bytes:
    """Return a voice from across the room: another pitch, dull, with the room's echo, under hum and hiss."""
    random = np.random.default_rng(seed)
    voice = samples_of(speech(text))
    pitch = random.uniform(0.85, 1.2)
    voice = np.interp(np.arange(0, len(voice) - 1, pitch), np.arange(len(voice)), voice)
    room = np.zeros(int(0.35 * RATE_HZ))
    room[0] = 1.0
    reflections = random.integers(int(0.01 * RATE_HZ), len(room), 60)
    room[reflections] = random.standard_normal(60) * 0.35 * np.exp(-reflections / (0.12 * RATE_HZ))
    heard = _dull(np.convolve(voice, room)[: len(voice)], 3000)
    heard = heard / np.sqrt(np.mean(heard**2)) * 10 ** (level_db / 20)
    return pcm_of(heard + random.standard_normal(len(heard)) * 10 ** ((level_db - 20) / 20))


def _dull(samples: Floats, cutoff_hz: float) -> Floats:
    spectrum = np.fft.rfft(samples)
    spectrum *= 1 / (1 + (np.fft.rfftfreq(len(samples), 1 / RATE_HZ) / cutoff_hz) ** 2)
    dull: Floats = np.fft.irfft(spectrum, len(samples))
    return dull


def echo_of(audio: bytes, delay_ms: int = 150, level_db: float = -20.0) -> bytes:
    """Return what a microphone beside the loudspeaker picks up of it."""
    return silence(delay_ms) + louder(audio, level_db)
