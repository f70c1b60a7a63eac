"""How an interrupted reply goes on."""

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mistral_voice.gateway.session.heard import SpokenSegment, heard_text
from mistral_voice.gateway.session.resumption import Rest, rest_of

SAID = (
    SpokenSegment("Once upon a time, long ago,", 2000, 2000),
    SpokenSegment("there was a king – an old one – who had daughters.", 3000, 5000),
    SpokenSegment("They were three.", 0, 1500),
)


@pytest.mark.parametrize(
    ("heard_ms", "kept", "first"),
    [
        (0, "", "Once upon a time, long ago,"),
        (1000, "", "Once upon a time, long ago,"),
        (1400, "Once upon a time,", "long ago,"),
        (2000, "Once upon a time, long ago,", "there was a king – an old one – who had daughters."),
        (3500, "Once upon a time, long ago,", "there was a king – an old one – who had daughters."),
        (4500, "Once upon a time, long ago, there was a king –", "an old one – who had daughters."),
    ],
)
def test_it_goes_on_from_the_clause_that_was_broken(heard_ms: float, kept: str, first: str) -> None:
    rest = rest_of(SAID, heard_ms)
    assert rest.kept == kept
    assert rest.pieces[0] == first
    assert rest.pieces[-1] == "They were three."


def test_of_what_was_heard_to_its_end_nothing_is_left() -> None:
    assert rest_of(SAID[:1], 2000) == Rest("Once upon a time, long ago,", ())
    assert rest_of((), 0) == Rest("", ())


@given(
    st.lists(st.tuples(st.text("ab ,.–", min_size=1, max_size=40).map(str.strip).filter(bool), st.floats(1, 3000)), max_size=5),
    st.floats(0, 10_000),
)
def test_no_word_is_lost_and_none_is_said_again_that_was_not_broken(pieces: list[tuple[str, float]], heard_ms: float) -> None:
    said = [SpokenSegment(text, length, length) for text, length in pieces]
    rest = rest_of(said, heard_ms)
    whole = " ".join(segment.text for segment in said)
    assert re.findall(r"\w+", " ".join((rest.kept, *rest.pieces))) == re.findall(r"\w+", whole)
    assert heard_text(said, heard_ms).startswith(rest.kept)
