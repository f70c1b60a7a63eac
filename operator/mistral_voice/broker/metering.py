"""What a session uses, counted as it passes. Where Mistral doesn't tell, it is estimated upward."""

import math
from collections import Counter
from typing import Any, Final

from msgspec import Struct

from mistral_voice.contract.lease import Amount, Unit, Usage

BYTES_PER_TOKEN: Final = 3
"""Fewer than a token has on average in any language, so that an estimate errs upward."""
TOKENS_OF_PICTURE: Final = 4096
"""A picture counts as so many tokens where the true number isn't told, whatever the length of its text."""
_WIDTHS: Final = {"pcm_s16le": 2, "pcm_s32le": 4, "pcm_f16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}
_RATES: Final = (8000, 16_000, 22_050, 24_000, 44_100, 48_000)


class AudioFormat(Struct, frozen=True):
    """How audio is written, in Mistral's words."""

    encoding: str = "pcm_s16le"
    sample_rate: int = 16_000

    @property
    def is_known(self) -> bool:
        """Whether Mistral takes it."""
        return self.encoding in _WIDTHS and self.sample_rate in _RATES

    def milliseconds(self, size: int) -> int:
        """Return how long so many bytes sound, rounded up."""
        return math.ceil(size * 1000 / (_WIDTHS[self.encoding] * self.sample_rate))


class Meter:
    """The cumulative use of one session since its epoch's begin. `estimated` counts what had to be estimated, by unit."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._amounts: Counter[tuple[str, Unit]] = Counter()
        self.estimated: Counter[Unit] = Counter()

    def add(self, model: str, unit: Unit, amount: int, *, estimated: bool = False) -> None:
        """Count what was used of a model. Nothing ever makes it less."""
        if amount <= 0:
            return
        self._amounts[model, unit] += amount
        if estimated:
            self.estimated[unit] += amount

    def usage(self, now: float) -> Usage:
        """Return all that was used so far."""
        amounts = tuple(Amount(model, unit, amount) for (model, unit), amount in sorted(self._amounts.items()))
        return Usage(max(0, math.ceil((now - self._began) * 1000)), amounts)


class AudioMeter:
    """Counts the audio of one transcription. What was appended is kept in bytes, so that many small pieces round up but once."""

    def __init__(self, meter: Meter, model: str) -> None:
        self._meter = meter
        self._model = model
        self._format = AudioFormat()
        self._bytes = 0
        self._counted_ms = 0

    @property
    def has_begun(self) -> bool:
        """Whether audio has passed: from then on Mistral takes no other format."""
        return self._bytes > 0

    def agree(self, audio_format: AudioFormat) -> None:
        """The audio to come is written so."""
        self._format = audio_format

    def append(self, size: int) -> None:
        """So many more bytes of audio go to Mistral."""
        self._bytes += size
        milliseconds = self._format.milliseconds(self._bytes)
        self._meter.add(self._model, Unit.AUDIO_MS, milliseconds - self._counted_ms)
        self._counted_ms = milliseconds


class ChatMeter:
    """Counts the tokens of one completion: as its `usage` tells them, else, where it broke off or was cut, by the bytes that passed."""

    def __init__(self, meter: Meter, model: str, input_estimate: int) -> None:
        self._meter = meter
        self._model = model
        self._input_estimate = input_estimate
        self._output_bytes = 0
        self._pieces = 0
        self._told: tuple[int, int] | None = None

    def passed(self, size: int) -> None:
        """A piece of the answer with so many bytes of text passed."""
        self._pieces += 1
        self._output_bytes += size

    def told(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Mistral says what the completion took. If it says so more than once, the greatest figures count."""
        prompt, completion = self._told or (0, 0)
        self._told = max(prompt, prompt_tokens), max(completion, completion_tokens)
        self._count(self._told[0] - prompt, self._told[1] - completion, estimated=False)

    def close(self) -> None:
        """The completion is over, however it ended."""
        if self._told is None:
            self._told = 0, 0
            self._count(self._input_estimate, max(self._pieces, math.ceil(self._output_bytes / BYTES_PER_TOKEN)), estimated=True)

    def _count(self, prompt: int, completion: int, *, estimated: bool) -> None:
        self._meter.add(self._model, Unit.INPUT_TOKENS, prompt, estimated=estimated)
        self._meter.add(self._model, Unit.OUTPUT_TOKENS, completion, estimated=estimated)


class SpeechMeter:
    """Counts the characters of one request for speech, once Mistral may have taken it."""

    def __init__(self, meter: Meter, model: str, characters: int) -> None:
        self._meter = meter
        self._model = model
        self._characters = characters

    def close(self) -> None:
        """The speech is over, however it ended."""
        self._meter.add(self._model, Unit.CHARACTERS, self._characters)
        self._characters = 0


def tokens_of_text(text: str) -> int:
    """Return how many tokens a text can have at most."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def estimated_tokens(value: Any) -> int:
    """Return how many tokens a part of a request's body can have at most, by its texts."""
    if isinstance(value, str):
        return tokens_of_text(value)
    if isinstance(value, dict):
        return sum(1 + estimated_tokens(key) + estimated_tokens(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(1 + estimated_tokens(item) for item in value)
    return 1
