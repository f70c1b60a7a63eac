"""Audio as ready frames of a wire: made once, shared by all callers."""

import base64
from pathlib import Path

import numpy as np
import soxr
from msgspec import Struct

from tests.bench.load.plan import FRAME_MS, Clip, Wire
from tests.bench.load.websocket import BINARY, frame

INPUT_RATE_HZ = 24_000
PCM_RATE_HZ = 16_000
ROOM_DBFS = -65.0
"""How loud a caller's room is: a headset, or a browser with noise suppression."""
_ROOM_FRAMES = 100


class Track(Struct, frozen=True):
    """An utterance as frames. The last is the last that has voice."""

    frames: tuple[bytes, ...]


def track(clip: Clip, wire: Wire) -> Track:
    """Return a clip's frames."""
    return Track(_frames(Path(clip.path).read_bytes(), wire))


def room(wire: Wire) -> Track:
    """Return frames of a quiet room, to be sent again and again."""
    samples = np.random.default_rng(7).standard_normal(INPUT_RATE_HZ * FRAME_MS // 1000 * _ROOM_FRAMES) * 10 ** (ROOM_DBFS / 20)
    return Track(_frames((samples * 32767).astype("<i2").tobytes(), wire))


def _frames(audio: bytes, wire: Wire) -> tuple[bytes, ...]:
    if wire is Wire.PCM:
        samples = np.frombuffer(audio, "<i2")
        audio = soxr.resample(samples, INPUT_RATE_HZ, PCM_RATE_HZ).astype("<i2").tobytes()
    size = (PCM_RATE_HZ if wire is Wire.PCM else INPUT_RATE_HZ) * FRAME_MS // 1000 * 2
    pieces = [audio[start : start + size].ljust(size, b"\0") for start in range(0, len(audio), size)]
    if wire is Wire.PCM:
        return tuple(frame(piece, BINARY) for piece in pieces)
    return tuple(frame(b'{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(piece) + b'"}') for piece in pieces)
