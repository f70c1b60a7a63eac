"""A caller's turn over the assistant's speech: whether it takes the word. Pure."""

import re
from collections.abc import Sequence
from enum import Enum, auto

from msgspec import Struct

from mistral_voice.gateway.session.backchannels import is_backchannel, words_of
from mistral_voice.gateway.session.heard import SpokenSegment, heard_up_to, sent_ms

SHORTEST_ECHO_WORDS = 3
"""A part of what the assistant has said counts as its echo from so many words on; all of it does at any length."""
ECHO_DELAY_MS = 1000.0
"""An echo is told so long, at most, after its words were played: by the network, the room, and the time that detection takes."""
FINISHED_MS = 300.0
"""With so little left to be heard the assistant had finished."""

_SPOKEN_WORD = re.compile(r"\S+")
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


def meaning(text: str, said: Sequence[SpokenSegment], heard_ms: float, lasted_ms: float) -> Meaning:
    """Return what a turn means that began over these pieces, `heard_ms` into them, and lasted so long.

    Whoever answers may well repeat the assistant's words: after its end or its question nothing is an echo or a sign of listening.
    """
    if not text.strip():
        return Meaning.NOTHING
    if has_finished(said, heard_ms) or has_asked(said, heard_ms):
        return Meaning.WORDS
    if is_echo(text, said, heard_ms, lasted_ms):
        return Meaning.ECHO
    if is_backchannel(text) and not has_offered(text, said, heard_ms):
        return Meaning.BACKCHANNEL
    return Meaning.WORDS


def is_echo(text: str, said: Sequence[SpokenSegment], heard_ms: float, lasted_ms: float) -> bool:
    """Whether a text is just what the assistant said meanwhile. A caller who repeats its words does so later than a room."""
    heard = words_of(text)
    sounded = _words_between(said, heard_ms - ECHO_DELAY_MS, min(heard_ms + lasted_ms, sent_ms(said)))
    if len(heard) < SHORTEST_ECHO_WORDS:
        everything = words_of(" ".join(segment.text for segment in said if segment.audio_ms))
        return bool(heard) and heard == everything == sounded
    return any(sounded[start : start + len(heard)] == heard for start in range(len(sounded) - len(heard) + 1))


def has_offered(text: str, said: Sequence[SpokenSegment], heard_ms: float) -> bool:
    """Whether the assistant has just spoken of this word itself, as in "Say yes to go on": then it is the answer."""
    wanted, offered = words_of(text), words_of(" ".join(_last_sentences(said, heard_ms)))
    return any(offered[start : start + len(wanted)] == wanted for start in range(len(offered) - len(wanted) + 1))


def has_finished(said: Sequence[SpokenSegment], heard_ms: float) -> bool:
    """Whether the caller had heard all that there was to hear."""
    return sum(segment.length_ms for segment in said) - heard_ms < FINISHED_MS


def has_asked(said: Sequence[SpokenSegment], heard_ms: float) -> bool:
    """Whether the sentence that was being heard, or the one before it, is a question: then a short word may be the answer."""
    return any("?" in sentence or "？" in sentence for sentence in _last_sentences(said, heard_ms))


def _last_sentences(said: Sequence[SpokenSegment], heard_ms: float) -> list[str]:
    """Return the sentence that was being heard and the one before it."""
    text, position = "", 0
    broken, length = heard_up_to(said, min(heard_ms, sent_ms(said)))
    for index, segment in enumerate(said):
        if index == broken:
            position = len(text) + length
        text += f"{segment.text} "
    if broken >= len(said):
        position = len(text)
    begun = [match.group() for match in _SENTENCE.finditer(text) if match.group().strip() and match.start() < max(position, 1)]
    return begun[-2:]


def _words_between(said: Sequence[SpokenSegment], from_ms: float, to_ms: float) -> list[str]:
    """Return the words that sounded in this time, if a piece's words take as long as they have characters."""
    found: list[str] = []
    begins_ms = 0.0
    for segment in said:
        for match in _SPOKEN_WORD.finditer(segment.text):
            first_ms, last_ms = (begins_ms + segment.length_ms * place / len(segment.text) for place in match.span())
            if last_ms > from_ms and first_ms < to_ms:
                found.extend(words_of(match.group()))
        begins_ms += segment.length_ms
    return found
