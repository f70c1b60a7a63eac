"""Usage, as every kind of answer tells it."""

import math

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Tokens, and seconds of audio heard."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_audio_seconds: int | None = None


def count_tokens(text: str) -> int:
    """Return an estimate of a text's tokens: four characters each."""
    return math.ceil(len(text) / 4)


def usage(prompt_tokens: int, completion_tokens: int, prompt_audio_seconds: int | None = None) -> Usage:
    """Return a usage with its total."""
    return Usage(prompt_tokens, completion_tokens, prompt_tokens + completion_tokens, prompt_audio_seconds)
