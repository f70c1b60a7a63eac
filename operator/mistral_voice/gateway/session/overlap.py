"""A caller's turn over the assistant's speech: whether it takes the word. Pure."""

import re
from collections.abc import Sequence
from enum import Enum, auto

from msgspec import Struct

from mistral_voice.gateway.session.backchannels import is_backchannel, words_of
from mistral_voice.gateway.session.heard import SpokenSegment, heard_up_to, sent_ms

SHORTEST_ECHO_WORDS = 3
"""A part of what the assistant has said counts as its echo from so many words on; all of it does at any length."""
FINISHED_MS = 300.0
"""With so little left to be heard the assistant had finished."""

_SENTENCE = re.compile(r"[^.!?…。！？]*[.!?…。！？]*\s*")


class Overlap(Struct, frozen=True):
    """What the caller heard when beginning to speak: which item of the assistant's, and how much of its audio."""

    item_id: str
    heard_ms: float


class Meaning(Enum):
    """What a turn over the assistant's speech was: words for it, none at all, a mere sign of listening, or the assistant's own voice."""

    WORDS = auto()
    NOTHING = auto()
    BACKCHANNEL = auto()
    ECHO = auto()


def meaning(text: str, said: Sequence[SpokenSegment], heard_ms: float) -> Meaning:
    """Return what a turn means that was spoken over these pieces, `heard_ms` into them."""
    if not text.strip():
        return Meaning.NOTHING
    if is_echo(text, said):
        return Meaning.ECHO
    if is_backchannel(text) and not has_finished(said, heard_ms) and not has_asked(said, heard_ms):
        return Meaning.BACKCHANNEL
    return Meaning.WORDS


def is_echo(text: str, said: Sequence[SpokenSegment]) -> bool:
    """Whether a text is what the assistant has just said, or a part of it, as far as its audio was sent."""
    heard = words_of(text)
    spoken = words_of(" ".join(segment.text for segment in said if segment.audio_ms))
    if len(heard) < SHORTEST_ECHO_WORDS:
        return bool(heard) and heard == spoken
    return any(spoken[start : start + len(heard)] == heard for start in range(len(spoken) - len(heard) + 1))


def has_finished(said: Sequence[SpokenSegment], heard_ms: float) -> bool:
    """Whether the caller had heard all that there was to hear."""
    return sum(segment.length_ms for segment in said) - heard_ms < FINISHED_MS


def has_asked(said: Sequence[SpokenSegment], heard_ms: float) -> bool:
    """Whether the sentence that was being heard, or the one before it, is a question: then a short word may be the answer."""
    text, position = "", 0
    broken, length = heard_up_to(said, min(heard_ms, sent_ms(said)))
    for index, segment in enumerate(said):
        if index == broken:
            position = len(text) + length
        text += f"{segment.text} "
    if broken >= len(said):
        position = len(text)
    begun = [match.group() for match in _SENTENCE.finditer(text) if match.group().strip() and match.start() < max(position, 1)]
    return any("?" in sentence or "？" in sentence for sentence in begun[-2:])
