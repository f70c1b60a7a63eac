"""Mistral's speech as clients play it: nothing aliases, no join clicks, nothing is lost."""

import numpy as np
import numpy.typing as npt
import pytest

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.audio.playable import Playable
from mistral_voice.gateway.session.audio_format import AudioFormat

RATE_HZ = 24_000
LEVEL = 0.5
TELEPHONE = [AudioFormat.PCMU, AudioFormat.PCMA]

Floats = npt.NDArray[np.float64]


def tone(hz: float, seconds: float = 1.0) -> npt.NDArray[np.float32]:
    samples: npt.NDArray[np.float32] = (LEVEL * np.sin(2 * np.pi * hz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ)).astype("<f4")
    return samples


def played(audio_format: AudioFormat, *deltas: npt.NDArray[np.float32]) -> Floats:
    """Return what a client hears of these deltas, within ±1."""
    playable = Playable(audio_format)
    audio = b"".join([*(playable.convert(delta.tobytes()) for delta in deltas), playable.finish()])
    samples = np.frombuffer(audio, "<i2") if audio_format is AudioFormat.PCM else g711.decoded(audio, audio_format)
    return samples.astype(np.float64) / 32768


def decibels(samples: Floats) -> float:
    """The level beside that of the tone that went in."""
    return 20 * float(np.log10(np.sqrt(np.mean((samples - np.mean(samples)) ** 2)) / (LEVEL / np.sqrt(2)) + 1e-12))


@pytest.mark.parametrize("audio_format", TELEPHONE)
@pytest.mark.parametrize("hz", [4_050, 4_200, 4_500, 5_000, 6_000, 7_000, 7_900, 8_100, 9_000, 10_500, 11_900])
def test_what_the_telephone_cannot_carry_does_not_come_back_as_another_tone(audio_format: AudioFormat, hz: int) -> None:
    middle = played(audio_format, tone(hz))[400:-400]
    assert decibels(middle) < -50


@pytest.mark.parametrize("audio_format", TELEPHONE)
@pytest.mark.parametrize("hz", [100, 300, 1_000, 2_000, 3_000, 3_400, 3_600])
def test_what_the_telephone_carries_is_heard_at_its_level(audio_format: AudioFormat, hz: int) -> None:
    middle = played(audio_format, tone(hz))[400:-400]
    assert decibels(middle) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("audio_format", [AudioFormat.PCM, *TELEPHONE])
@pytest.mark.parametrize("delta_samples", [1, 7, 160, 480, 2_400])
def test_the_joins_of_deltas_are_not_heard(audio_format: AudioFormat, delta_samples: int) -> None:
    whole = tone(440, 0.5)
    deltas = [whole[start : start + delta_samples] for start in range(0, len(whole), delta_samples)]
    assert played(audio_format, *deltas).tolist() == played(audio_format, whole).tolist()


@pytest.mark.parametrize("audio_format", TELEPHONE)
def test_the_joins_of_segments_do_not_click(audio_format: AudioFormat) -> None:
    """A tone that goes on over a join has no edge there: its steps stay those of the tone."""
    playable = Playable(audio_format)
    audio = b""
    for _ in range(3):
        audio += playable.convert(tone(400, 0.4).tobytes())
        playable.cut()
    samples = g711.decoded(audio + playable.finish(), audio_format).astype(np.float64) / 32768
    steps = np.abs(np.diff(samples))[80:-80]
    steepest = LEVEL * 2 * np.pi * 400 / 8_000
    assert float(steps.max()) < steepest * 1.15


@pytest.mark.parametrize("audio_format", [AudioFormat.PCM, *TELEPHONE])
def test_nothing_is_lost_of_a_replys_length(audio_format: AudioFormat) -> None:
    audio = played(audio_format, tone(300, 0.31), tone(300, 0.2))
    assert len(audio) == pytest.approx(0.51 * audio_format.sample_rate_hz, abs=2)


def test_a_click_stays_one_click_in_its_place() -> None:
    speech = np.zeros(RATE_HZ, dtype="<f4")
    speech[12_000:12_024] = 0.9
    heard = np.abs(played(AudioFormat.PCMU, speech))
    assert abs(int(heard.argmax()) - 4_004) <= 4
    assert float(heard[:3_900].max()) < 0.001


def test_float_samples_become_int16_wherever_they_are_cut() -> None:
    samples = np.array([0.0, 0.5, -1.0, 3.0, float("nan"), float("-inf")], dtype="<f4").tobytes()
    for cut in range(len(samples)):
        playable = Playable(AudioFormat.PCM)
        joined = playable.convert(samples[:cut]) + playable.convert(samples[cut:])
        assert np.frombuffer(joined, "<i2").tolist() == [0, 16383, -32767, 32767, 0, -32767]


@pytest.mark.parametrize("audio_format", TELEPHONE)
def test_loud_and_broken_samples_harm_nothing(audio_format: AudioFormat) -> None:
    wild = np.array([float("nan"), float("inf"), float("-inf"), 1e30, -1e30] * 500, dtype="<f4")
    heard = played(audio_format, wild, tone(400, 0.2))
    assert np.isfinite(heard).all()
    assert decibels(heard[-1_200:-200]) == pytest.approx(0, abs=0.5)


def test_a_half_sample_at_a_segments_end_is_none_of_the_next() -> None:
    playable = Playable(AudioFormat.PCM)
    playable.convert(np.array([0.5], dtype="<f4").tobytes() + b"\x01\x02")
    playable.cut()
    assert np.frombuffer(playable.convert(np.array([0.5], dtype="<f4").tobytes()), "<i2").tolist() == [16383]
