"""µ-law and A-law as ITU-T G.711 has them."""

import numpy as np
import pytest

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.session.audio_format import AudioFormat

PCMU, PCMA = AudioFormat.PCMU, AudioFormat.PCMA

MULAW = {
    0xFF: 0,
    0x7F: 0,
    0xFE: 8,
    0x7E: -8,
    0xF0: 120,
    0xEF: 132,
    0xE0: 372,
    0xDF: 396,
    0xD0: 876,
    0xC0: 1884,
    0xB0: 3900,
    0xA0: 7932,
    0x90: 15996,
    0x8F: 16764,
    0x80: 32124,
    0x00: -32124,
    0x10: -15996,
}
"""Decoder outputs of tables 2a and 2b of the standard (14 bits), times 4."""
ALAW = {
    0xD5: 8,
    0x55: -8,
    0xD4: 24,
    0x54: -24,
    0xDA: 248,
    0xC5: 264,
    0xCA: 504,
    0xF5: 528,
    0xE5: 1056,
    0x95: 2112,
    0x85: 4224,
    0xB5: 8448,
    0xA5: 16896,
    0xAA: 32256,
    0x2A: -32256,
}
"""Decoder outputs of tables 1a and 1b (13 bits), times 8."""


@pytest.mark.parametrize(("law", "table"), [(PCMU, MULAW), (PCMA, ALAW)])
def test_codes_stand_for_the_samples_of_the_standard(law: AudioFormat, table: dict[int, int]) -> None:
    assert g711.decoded(bytes(table), law).tolist() == list(table.values())


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_each_code_comes_back_from_its_sample(law: AudioFormat) -> None:
    codes = bytes(range(256))
    again = bytearray(g711.encoded(g711.decoded(codes, law), law))
    if law is PCMU:
        assert again[0x7F] == 0xFF, "µ-law has two zeros"
        again[0x7F] = 0x7F
    assert bytes(again) == codes


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_each_sample_is_within_half_a_step_of_its_code(law: AudioFormat) -> None:
    """The steps of the standard's segments: 8 to 1024 for µ-law, 16 to 1024 for A-law."""
    samples = np.arange(-32600, 32600, dtype=np.int32)
    codes = g711.encoded(samples.astype(np.int16), law)
    bits = np.frombuffer(codes, dtype=np.uint8).astype(np.int32) ^ (0xFF if law is PCMU else 0x55)
    exponent = (bits & 0x70) >> 4
    step = 8 << exponent if law is PCMU else 16 << np.maximum(exponent - 1, 0)
    heard = g711.decoded(codes, law).astype(np.int32)
    assert bool(np.all(np.abs(heard - samples) <= step // 2))


def test_the_ends_of_the_range_are_clipped() -> None:
    ends = np.array([-32768, 32767, 0, -1], dtype=np.int16)
    assert g711.encoded(ends, PCMU) == bytes([0x00, 0x80, 0xFF, 0x7F])
    assert g711.encoded(ends, PCMA) == bytes([0x2A, 0xAA, 0xD5, 0x55])
