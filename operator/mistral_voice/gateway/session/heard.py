"""What a caller has heard of a spoken reply, in words."""

from collections.abc import Sequence

from msgspec import Struct

from mistral_voice.gateway.session.audio_format import AudioFormat

USUAL_MS_PER_CHARACTER = 65.0
"""How long speech takes, until the reply's own voice has shown it."""
LONGEST_GUESS_MS = 20_000.0
"""… but no clause is taken to be longer than this: an address of hundreds of characters may be said in a moment."""
LONGEST_MS = 10_000.0
LONGEST_MS_PER_CHARACTER = 500.0
"""Speech of a clause that is longer than both together has no end."""


class SpokenSegment(Struct, frozen=True):
    """A piece of a reply: how much of its audio has been sent, and how long all of it is, as far as that can be told."""

    text: str
    audio_ms: float
    whole_ms: float = 0.0

    @property
    def length_ms(self) -> float:
        """How long it takes to say all of it."""
        return max(self.audio_ms, self.whole_ms)


def sent_ms(segments: Sequence[SpokenSegment]) -> float:
    """Return the length of the audio that was sent."""
    return sum(segment.audio_ms for segment in segments)


def heard_text(segments: Sequence[SpokenSegment], heard_ms: float) -> str:
    """Return the words heard in the first `heard_ms` of a reply: whole segments, of the broken one a proportional part, cut at a word."""
    index, length = heard_up_to(segments, heard_ms)
    heard = [segment.text for segment in segments[:index]]
    if index < len(segments):
        heard.append(segments[index].text[:length])
    return " ".join(text for text in heard if text)


def heard_up_to(segments: Sequence[SpokenSegment], heard_ms: float) -> tuple[int, int]:
    """Return which segment was broken, and how many characters of it were heard, in whole words. Past the last if none was broken."""
    left = heard_ms
    for index, segment in enumerate(segments):
        if segment.length_ms > left:
            return index, _whole_words(segment.text, int(len(segment.text) * left / segment.length_ms))
        left -= segment.length_ms
    return len(segments), 0


def _whole_words(text: str, length: int) -> int:
    if length >= len(text):
        return len(text)
    head = text[:length]
    if not text[length].isspace():
        head = head.rpartition(" ")[0]
    return len(head.rstrip())


class _Segment(Struct):
    text: str
    made_bytes: int = 0
    sent_bytes: int = 0
    finished: bool = False


def _is_over(segment: _Segment) -> bool:
    return segment.finished and segment.sent_bytes >= segment.made_bytes


class SpokenText:
    """The segments of a reply, and how far each has been spoken by the upstream and sent to the client."""

    def __init__(self, audio_format: AudioFormat = AudioFormat.PCM) -> None:
        self._bytes_per_ms = audio_format.bytes_per_ms
        self._segments: list[_Segment] = []
        self._ended = False
        self._over = 0

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def is_finished(self) -> bool:
        """Whether all audio of all segments has come."""
        return self._ended or all(segment.finished for segment in self._segments)

    def add(self, text: str) -> None:
        """One more segment is to be spoken."""
        self._segments.append(_Segment(text))

    def made(self, segment: int, size: int) -> None:
        """The upstream has spoken so many bytes more of a segment."""
        self._segments[segment].made_bytes += size

    def is_endless(self, segment: int) -> bool:
        """Whether more was spoken of a segment than it can take to say it."""
        said = self._segments[segment]
        return said.made_bytes / self._bytes_per_ms > LONGEST_MS + LONGEST_MS_PER_CHARACTER * len(said.text)

    def ahead_ms(self, asked: int) -> float:
        """Return how much audio of the first `asked` segments is still to be sent, as far as that can be told."""
        while self._over < asked and _is_over(self._segments[self._over]):
            self._over += 1
        return sum(self._unsent_ms(segment) for segment in self._segments[self._over : asked])

    def _unsent_ms(self, segment: _Segment) -> float:
        usual_ms = 0.0 if segment.finished else min(len(segment.text) * USUAL_MS_PER_CHARACTER, LONGEST_GUESS_MS)
        return max(segment.made_bytes / self._bytes_per_ms, usual_ms) - segment.sent_bytes / self._bytes_per_ms

    def sent(self, segment: int, size: int) -> None:
        """So many bytes more of a segment went to the client."""
        self._segments[segment].sent_bytes += size

    def finish(self, segment: int) -> bool:
        """All audio of a segment has come; returns whether that is new. There may be no such segment."""
        if segment >= len(self._segments) or self._segments[segment].finished:
            return False
        self._segments[segment].finished = True
        return True

    def end(self) -> None:
        """No more audio comes of any segment."""
        self._ended = True

    def segments(self) -> tuple[SpokenSegment, ...]:
        """Return what was said, piece by piece. How long a piece will be that is still being made follows from those that are complete."""
        pace = self._ms_per_character()
        return tuple(
            SpokenSegment(
                segment.text,
                segment.sent_bytes / self._bytes_per_ms,
                max(segment.made_bytes / self._bytes_per_ms, 0.0 if segment.finished else len(segment.text) * pace),
            )
            for segment in self._segments
        )

    def _ms_per_character(self) -> float:
        whole = [segment for segment in self._segments if segment.finished and segment.made_bytes]
        characters = sum(len(segment.text) for segment in whole)
        return sum(segment.made_bytes for segment in whole) / self._bytes_per_ms / characters if characters else USUAL_MS_PER_CHARACTER
