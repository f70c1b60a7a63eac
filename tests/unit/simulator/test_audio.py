import io
import math
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.simulator.audio import AudioDecoder, loudness_dbfs, read_wav
from mistral_voice.simulator.scripted.tone import dominant_hz, tone, tone_hz


@given(
    st.binary(max_size=400),
    st.lists(st.integers(1, 50), min_size=1, max_size=20),
    st.sampled_from(["pcm_s16le", "pcm_s32le", "pcm_f32le", "pcm_mulaw"]),
)
def test_portions_do_not_matter(data: bytes, sizes: list[int], encoding: str) -> None:
    whole = AudioDecoder(encoding).decode(data)
    decoder, parts, position = AudioDecoder(encoding), [], 0
    for size in sizes:
        parts.append(decoder.decode(data[position : position + size]))
        position += size
    parts.append(decoder.decode(data[position:]))
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.all(np.abs(whole) <= 1)


def test_g711_decodes_as_the_standards_tables() -> None:
    """ITU-T G.711, tables 1 and 2: values of a few codes, on the 16-bit scale."""
    mulaw = AudioDecoder("pcm_mulaw").decode(bytes([0x00, 0x80, 0x7F, 0xFF, 0x8F, 0x0F])) * 32768
    assert mulaw.tolist() == [-32124, 32124, 0, 0, 16764, -16764]
    alaw = AudioDecoder("pcm_alaw").decode(bytes([0x55, 0xD5, 0x2A, 0xAA])) * 32768
    assert alaw.tolist() == [-8, 8, -32256, 32256]


def test_loudness() -> None:
    assert loudness_dbfs(np.zeros(100, np.float32)) == -math.inf
    assert loudness_dbfs(np.zeros(0, np.float32)) == -math.inf
    assert round(loudness_dbfs(np.full(100, 0.1, np.float32)), 3) == -20


@given(st.text(max_size=100))
def test_every_text_has_a_pitch_that_can_be_heard_in_its_tone(text: str) -> None:
    hz = tone_hz(text)
    assert hz % 50 == 0
    assert dominant_hz(tone(hz, 200, 24_000, 0.3), 24_000) == hz


def test_silence_has_no_pitch() -> None:
    assert dominant_hz(np.zeros(1000, np.float32), 24_000) == 0
    assert dominant_hz(np.zeros(0, np.float32), 24_000) == 0


def test_a_wav_is_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 8_000, 0, "NONE", ""))
        writer.writeframes(np.array([16384, 1, -16384, 1], "<i2").tobytes())
    samples, rate = read_wav(file.getvalue())
    assert (samples.tolist(), rate) == ([0.5, -0.5], 8_000)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"ID3" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_wav_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read_wav(data)
