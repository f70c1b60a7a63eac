"""Samples as Mistral speaks them (float32) into samples as clients play them (int16)."""

import numpy as np


class FloatToInt16:
    """Converts little-endian float32 bytes, cut anywhere, into little-endian int16. Values beyond ±1 are clipped, NaN is silence."""

    def __init__(self) -> None:
        self._rest = b""

    def convert(self, audio: bytes) -> bytes:
        """Return the samples that are whole by now."""
        data = self._rest + audio if self._rest else audio
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        samples = np.frombuffer(data, dtype="<f4", count=whole // 4)
        finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
        scaled: bytes = (np.clip(finite, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        return scaled
