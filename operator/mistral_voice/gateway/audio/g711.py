"""ITU-T G.711: µ-law and A-law, 8 bits a sample, by table.

Samples are int16; a code stands for 14 (µ-law) or 13 bits (A-law) at the top of them. `audioop`, which could do this, has left Python.
"""

import functools

import numpy as np
import numpy.typing as npt

from mistral_voice.gateway.session.audio_format import AudioFormat

Int16s = npt.NDArray[np.int16]
Bytes = npt.NDArray[np.uint8]

_BIAS = 132
_CLIP = 32635


def decoded(codes: bytes, law: AudioFormat) -> Int16s:
    """Return the samples that these codes stand for."""
    samples: Int16s = _decoding(law)[np.frombuffer(codes, dtype=np.uint8)]
    return samples


def encoded(samples: Int16s, law: AudioFormat) -> bytes:
    """Return the codes nearest to these samples."""
    return _encoding(law)[samples.view(np.uint16)].tobytes()


@functools.cache
def _decoding(law: AudioFormat) -> Int16s:
    codes = np.arange(256, dtype=np.int32)
    return _mulaw_samples(codes) if law is AudioFormat.PCMU else _alaw_samples(codes)


@functools.cache
def _encoding(law: AudioFormat) -> Bytes:
    """The code of each sample, by the sample's bits taken as an unsigned number."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return _mulaw_codes(samples) if law is AudioFormat.PCMU else _alaw_codes(samples)


def _mulaw_samples(codes: npt.NDArray[np.int32]) -> Int16s:
    bits = ~codes & 0xFF
    magnitude = ((((bits & 0x0F) << 3) + _BIAS) << ((bits & 0x70) >> 4)) - _BIAS
    return np.where(bits & 0x80, -magnitude, magnitude).astype(np.int16)


def _mulaw_codes(samples: npt.NDArray[np.int32]) -> Bytes:
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    codes: Bytes = (~(np.where(samples < 0, 0x80, 0) | exponent << 4 | mantissa) & 0xFF).astype(np.uint8)
    return codes


def _alaw_samples(codes: npt.NDArray[np.int32]) -> Int16s:
    bits = codes ^ 0x55
    exponent = (bits & 0x70) >> 4
    step = (bits & 0x0F) << 4
    magnitude = np.where(exponent == 0, step + 8, (step + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(bits & 0x80, magnitude, -magnitude).astype(np.int16)


def _alaw_codes(samples: npt.NDArray[np.int32]) -> Bytes:
    # Below zero the steps are counted from -1, so that 0 is the smallest positive and -1 the smallest negative sample.
    magnitude = np.minimum(np.where(samples < 0, ~samples, samples), 32767)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 7, 0)
    mantissa = (magnitude >> np.maximum(exponent + 3, 4)) & 0x0F
    codes: Bytes = ((np.where(samples < 0, 0, 0x80) | exponent << 4 | mantissa) ^ 0x55).astype(np.uint8)
    return codes
