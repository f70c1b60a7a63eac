"""Text as one says it: without markdown and without pictograms."""

import re

_RULES = (
    (re.compile(r"```[^\n]*"), " "),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"^\s{0,3}(?:#{1,6}|>+|[-*+•])\s+", re.MULTILINE), ""),
    (re.compile(r"(\*\*\*|\*\*|__|~~|`)"), ""),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile("[\U0001f000-\U0001faff\U00002600-\U000027bf\U0001f1e6-\U0001f1ff\ufe0e\ufe0f\u200d\u20e3]"), ""),
    (re.compile(r"\s+"), " "),
)
_SPOKEN = re.compile(r"\w", re.UNICODE)


def speakable(text: str) -> str:
    """Return the words of a piece of a reply, ready to be spoken; empty if nothing of it can be spoken."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if _SPOKEN.search(text) else ""
