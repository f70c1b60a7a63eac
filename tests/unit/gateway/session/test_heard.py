"""What was heard, in words."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mistral_voice.gateway.session.heard import USUAL_MS_PER_CHARACTER, SpokenSegment, SpokenText, heard_text
from tests.support.session import MS

SEGMENTS = (SpokenSegment("One two three.", 1000), SpokenSegment("Four five.", 500))


@pytest.mark.parametrize(
    ("heard_ms", "text"),
    [(0, ""), (300, "One"), (999, "One two"), (1000, "One two three."), (1300, "One two three. Four"), (1500, "One two three. Four five.")],
)
def test_whole_segments_and_whole_words(heard_ms: float, text: str) -> None:
    assert heard_text(SEGMENTS, heard_ms) == text


@given(st.lists(st.tuples(st.text(max_size=30), st.floats(0, 2000)), max_size=5), st.floats(0, 20_000))
def test_what_was_heard_is_a_beginning_of_what_was_said(pieces: list[tuple[str, float]], heard_ms: float) -> None:
    segments = [SpokenSegment(text, length) for text, length in pieces]
    assert " ".join(segment.text for segment in segments if segment.text).startswith(heard_text(segments, heard_ms))


def test_what_was_not_sent_was_not_heard() -> None:
    said = (
        SpokenSegment("The first sentence.", 1000, 1000),
        SpokenSegment("The second one, a long one.", 500, 2000),
        SpokenSegment("The third.", 0, 650),
    )
    assert heard_text(said, 1500) == "The first sentence. The"


def test_the_length_of_an_unfinished_piece_follows_from_the_finished_ones() -> None:
    text = SpokenText()
    for piece in ("Ten chars.", "Ten chars!"):
        text.add(piece)
    assert [segment.whole_ms for segment in text.segments()] == [10 * USUAL_MS_PER_CHARACTER] * 2
    text.made(0, len(MS) * 1000)
    assert text.finish(0)
    assert not text.finish(0)
    text.made(1, len(MS) * 100)
    text.sent(1, len(MS) * 50)
    assert text.segments()[1] == SpokenSegment("Ten chars!", 50, 1000)
