"""What callers say: real speech, so that voice detection has its work."""

from pathlib import Path

import numpy as np

from tests.bench.load.plan import FRAME_MS, Clip
from tests.support.speech import RATE_HZ, noise, speech

SENTENCES = (
    "Hello, could you please tell me what the weather will be like tomorrow in the city of Paris?",
    "I would like to know whether my order has been sent, and on which day it is going to arrive.",
    "My washing machine makes a strange noise when it spins, and I don't know what to do about it.",
    "Please move my appointment from Tuesday morning to Thursday afternoon, if that is still possible.",
)
HESITANT = (
    ("I would like to have a table for", "four people, on Friday evening."),
    ("The number of my order is eight, two,", "seven, nine, if I read it right."),
)
"""Utterances with a pause in the middle."""
VOICED_DBFS = -45.0
_ROOM_DBFS = -65.0
_FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2


def make_clips(folder: Path, sentences: tuple[str, ...] = SENTENCES) -> tuple[Clip, ...]:
    """Return one clip for each sentence; their files are in `folder`."""
    return tuple(write_clip(folder / f"clip-{number}.pcm", speech(sentence)) for number, sentence in enumerate(sentences))


def make_hesitant_clips(folder: Path, pause_ms: int) -> tuple[Clip, ...]:
    """Return clips with a pause for thought in the middle."""
    pause = noise(pause_ms, _ROOM_DBFS)
    halves = [(speech(first), speech(second)) for first, second in HESITANT]
    return tuple(
        write_clip(folder / f"hesitant-{number}.pcm", _voiced(first) + pause + _voiced(second))
        for number, (first, second) in enumerate(halves)
    )


def write_clip(path: Path, audio: bytes) -> Clip:
    """Write speech from its first voiced frame to its last as a clip."""
    spoken = _voiced(audio)
    path.write_bytes(spoken)
    return Clip(str(path), len(spoken) // _FRAME_BYTES * FRAME_MS)


def _voiced(audio: bytes) -> bytes:
    frames = [audio[start : start + _FRAME_BYTES] for start in range(0, len(audio) - _FRAME_BYTES + 1, _FRAME_BYTES)]
    voiced = [number for number, frame in enumerate(frames) if loudness_dbfs(frame) > VOICED_DBFS]
    return b"".join(frames[voiced[0] : voiced[-1] + 1])


def loudness_dbfs(frame: bytes) -> float:
    """Return the root mean square of PCM16 in dB below full scale."""
    samples = np.frombuffer(frame, "<i2").astype(np.float64) / 32768
    return float(10 * np.log10(np.mean(samples * samples) + 1e-12))
