"""Names of OpenAI's, which most clients send unasked. Each stands for what the integration itself offers in its place."""

import re
from enum import Enum

_MODELS = r"gpt-.*|chatgpt-.*|whisper-.*|o[134](-.*)?"
_VOICES = "alloy|ash|ballad|cedar|coral|echo|fable|marin|nova|onyx|sage|shimmer|verse"
_OWN = "default|"
"""What of our own stands for the integration's choice: the word of its configuration, and nothing at all."""


class Named(Enum):
    """What can be named, with the names that stand for the integration's own."""

    MODEL = re.compile(f"{_MODELS}|{_OWN}")
    VOICE = re.compile(f"{_VOICES}|{_OWN}")

    def stands_for_own(self, name: str) -> bool:
        """Whether this name means what the integration itself offers."""
        return self.value.fullmatch(name) is not None
