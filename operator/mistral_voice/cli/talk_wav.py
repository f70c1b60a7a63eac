"""WAV files in and out: any rate, mono or stereo, 16 bit in; 24 kHz mono out."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from mistral_voice.cli.talk_errors import TalkError

RATE_HZ = 24_000
"""The rate of the protocol's `audio/pcm`."""
BYTES_PER_SECOND = RATE_HZ * 2
_SILENT = 58
"""A file whose loudest sample is no louder (-55 dBFS) is silent to the gateway's voice detection as well."""


def read_question(path: Path) -> bytes:
    """Return a WAV file's speech as PCM16 mono at 24 kHz. Raises TalkError if it isn't a 16-bit WAV, or is empty or silent."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except FileNotFoundError:
        raise TalkError(f"There is no file {path}.") from None
    except (wave.Error, EOFError):
        raise TalkError(f"{path} is not a WAV file that can be read; make one of 16-bit PCM.") from None
    except OSError as error:
        raise TalkError(f"{path} can't be read: {error.strerror}.") from None
    if width != 2:
        raise TalkError(f"{path} has {8 * width} bits a sample; 16 are needed.")
    samples = np.frombuffer(frames, dtype="<i2").reshape(-1, channels).astype(np.float32).mean(axis=1)
    if not len(samples):
        raise TalkError(f"{path} holds no audio.")
    if np.abs(samples).max() <= _SILENT:
        raise TalkError(
            f"{path} is silent from its beginning to its end. Record it again, and see that the right microphone is switched on."
        )
    return _pcm16(samples if rate == RATE_HZ else soxr.resample(samples, rate, RATE_HZ))


def write_reply(path: Path, audio: bytes) -> None:
    """Write PCM16 mono at 24 kHz as a WAV file. Raises TalkError if that fails."""
    try:
        # Opened here: `wave` leaves a traceback behind when it can't open a file itself.
        with path.open("wb") as out, wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(audio)
    except OSError as error:
        raise TalkError(f"{path} can't be written: {error.strerror}.") from None


def _pcm16(samples: npt.NDArray[np.float32]) -> bytes:
    audio: bytes = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    return audio
