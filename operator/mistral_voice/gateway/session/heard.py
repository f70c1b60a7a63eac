"""What a caller has heard of a spoken reply, in words."""

from collections.abc import Sequence

from msgspec import Struct


class SpokenSegment(Struct, frozen=True):
    """A piece of a reply and how long its audio is, as far as it has been sent."""

    text: str
    audio_ms: float


def heard_text(segments: Sequence[SpokenSegment], heard_ms: float) -> str:
    """Return the words heard in the first `heard_ms` of a reply: whole segments, of the broken one a proportional part, cut at a word."""
    heard: list[str] = []
    left = heard_ms
    for segment in segments:
        if segment.audio_ms <= left:
            left -= segment.audio_ms
            heard.append(segment.text)
            continue
        share = left / segment.audio_ms
        heard.append(_whole_words(segment.text, int(len(segment.text) * share)))
        break
    return " ".join(text for text in heard if text)


def _whole_words(text: str, length: int) -> str:
    if length >= len(text):
        return text
    head = text[:length]
    if not text[length].isspace():
        head = head.rpartition(" ")[0]
    return head.rstrip()
