"""24 kHz to 16 kHz for voice detection."""

import numpy as np
import pytest

from mistral_voice.gateway.vad.gate import FULL_SCALE
from mistral_voice.gateway.vad.resampling import INPUT_SAMPLES, Decimator
from mistral_voice.gateway.vad.silero import Floats


def resampled(samples: Floats) -> Floats:
    """Return what comes out of frames that follow upon each other, within ±1."""
    decimator, found = Decimator(), []
    for start in range(0, len(samples), INPUT_SAMPLES):
        decimator.samples[:] = samples[start : start + INPUT_SAMPLES] * FULL_SCALE
        found.append(decimator.frame())
    return np.concatenate(found)


def level_db(hertz: int) -> float:
    """Return how loud a tone comes out, against how it went in."""
    samples = np.sin(np.arange(INPUT_SAMPLES * 20) * 2 * np.pi * hertz / 24_000).astype(np.float32)
    found = resampled(samples)
    return float(10 * np.log10(np.mean(found[512:] ** 2) * 2 + 1e-12))


@pytest.mark.parametrize("hertz", [100, 440, 1000, 3000, 5000, 6000])
def test_the_voice_passes_unchanged(hertz: int) -> None:
    assert level_db(hertz) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("hertz", [8050, 8200, 8500, 9000, 10_000, 11_500, 11_900])
def test_what_would_fold_into_the_voice_is_taken_away(hertz: int) -> None:
    assert level_db(hertz) < -50


def test_a_tone_stays_the_tone_that_it_is_over_the_joins_of_frames() -> None:
    samples = np.sin(np.arange(INPUT_SAMPLES * 4) * 2 * np.pi * 440 / 24_000).astype(np.float32)
    found = resampled(samples)
    delay = 47.5 / 48_000
    expected = np.sin((np.arange(len(found)) / 16_000 - delay) * 2 * np.pi * 440)
    assert np.abs(found[64:] - expected[64:]).max() < 0.01
