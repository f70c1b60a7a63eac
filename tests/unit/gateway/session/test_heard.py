"""What was heard, in words."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mistral_voice.gateway.session.heard import SpokenSegment, heard_text
from mistral_voice.gateway.session.playout import Playout
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


def test_without_a_lead_audio_goes_out_at_once() -> None:
    playout = Playout(None)
    playout.push(0, MS * 5000)
    assert playout.release(0) == [(0, MS * 5000)]
    assert playout.is_empty


def test_with_a_lead_audio_goes_out_so_far_ahead_of_its_playback() -> None:
    playout = Playout(800)
    for _ in range(4):
        playout.push(0, MS * 500)
    assert len(playout.release(0)) == 2
    assert playout.deadline_ms == 200
    assert not playout.release(199)
    assert len(playout.release(200)) == 1
    assert playout.deadline_ms == 700
    assert len(playout.release(700)) == 1
    assert playout.deadline_ms is None
