"""Text is cut where one would breathe, and nothing of it is lost."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mistral_voice.gateway.text.clauses import LONGEST_CHARACTERS, ClauseSplitter
from mistral_voice.gateway.text.speakable import speakable


def pieces(*texts: str) -> list[str]:
    splitter = ClauseSplitter()
    return [piece.strip() for text in texts for piece in splitter.push(text)] + [piece.strip() for piece in splitter.finish()]


@given(st.lists(st.text(alphabet="ab .,!?\n3é—", max_size=40), max_size=20))
def test_the_pieces_joined_are_the_text(texts: list[str]) -> None:
    splitter = ClauseSplitter()
    cut = [piece for text in texts for piece in splitter.push(text)]
    rest = splitter.finish()
    whole = "".join(texts)
    joined = "".join([*cut, *rest])
    assert joined == whole or (whole.startswith(joined) and not whole[len(joined) :].strip())
    assert all(len(piece) <= LONGEST_CHARACTERS + max(len(text) for text in texts) for piece in cut)


def test_the_first_clause_comes_early_then_whole_sentences() -> None:
    text = "Well, the capital of France is Paris, which is large. It has, as they say, charm. More?"
    assert pieces(text) == ["Well, the capital of France is Paris,", "which is large.", "It has, as they say, charm.", "More?"]


def test_the_first_clause_waits_until_it_is_long_enough() -> None:
    assert pieces("Yes. ", "Of course. ", "I can do that for you. ") == ["Yes. Of course. I can do that for you."]


@pytest.mark.parametrize(
    "sentence",
    [
        "The price is 3.50 euros for each of them.",
        "Ask Dr. Smith or Mrs. Jones about the rest.",
        "Write to jane.doe@example.com or see example.com today.",
        "It holds 1,000,000 pieces e.g. stones and shells.",
        "It was J. S. Bach who wrote the thing.",
    ],
)
def test_numbers_abbreviations_and_addresses_are_not_cut(sentence: str) -> None:
    assert pieces("Here is what I found for you today. ", sentence) == ["Here is what I found for you today.", sentence]


def test_the_cut_is_the_same_however_the_text_arrives() -> None:
    text = "First, let me think about this. Then I'd say: yes! Is that all? It is."
    assert pieces(*text) == pieces(text)


def test_text_without_an_end_is_cut_at_a_space() -> None:
    cut = pieces("word " * 200)
    assert len(cut) > 2
    assert all(piece.startswith("word") and piece.endswith("word") for piece in cut)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Paris** is *lovely*.", "Paris is lovely."),
        ("# Title\n- one\n- two", "Title one two"),
        ("See [the page](https://example.com/x).", "See the page."),
        ("Run `ls -l` now 🎉", "Run ls -l now"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("🎉 👍🏽", ""),
        ("...", ""),
        ("2 * 3 * 4 is 24", "2 * 3 * 4 is 24"),
        ("snake_case_name stays", "snake_case_name stays"),
        ("Grüße, 你好!", "Grüße, 你好!"),
    ],
)
def test_markup_and_pictograms_are_not_spoken(written: str, spoken: str) -> None:
    assert speakable(written) == spoken
