"""What is said of what was written: every word, no markup."""

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mistral_voice.gateway.text.clauses import ClauseSplitter
from mistral_voice.gateway.text.speakable import Speakable, speakable


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Paris** is *lovely*.", "Paris is lovely."),
        ("***Paris*** is __very__ _lovely_, ~~not~~.", "Paris is very lovely, not."),
        ("# Title\n- one\n- two", "Title one two"),
        ("* one\n  * two\n    + three\n• four\n> five\n>> six", "one two three four five six"),
        ("- [ ] milk\n- [x] bread", "milk bread"),
        ("1. First\n2. Second", "1. First 2. Second"),
        ("See [the page](https://example.com/x).", "See the page."),
        ("Look: ![a cat](cat.png)!", "Look: a cat!"),
        ("As was shown[1] and again[^2].", "As was shown and again."),
        ("Go to <https://example.com>.", "Go to https://example.com."),
        ("Run `ls -l` now 🎉", "Run ls -l now"),
        ("Here:\n```python\nprint(1)\n```\nThat was it.", "Here: That was it."),
        ("🎉 👍🏽", ""),
        ("Paris 🇫🇷. Fine 👨‍👩‍👧! ☀️ 1️⃣ ✅ done", "Paris. Fine! 1 done"),
        ("Hi🎉there", "Hi there"),
        ("...", ""),
        ("---", ""),
        ("One\n***\nTwo\n===\nThree\n___", "One Two Three"),
        ("| City | Country |\n|:-----|--------:|\n| Paris | France |", "City, Country Paris, France"),
        ("City | Country\n--- | ---\nRome | Italy", "City, Country Rome, Italy"),
        ("Ham &amp; eggs<br>for <b>two</b>", "Ham & eggs for two"),
        ("2 * 3 * 4 is 24, 2**3 is 8, a*b", "2 * 3 * 4 is 24, 2**3 is 8, a*b"),
        ("snake_case_name stays", "snake_case_name stays"),
        ("It is -5 °C, 5 < 6 and AT&T™ is #1", "It is -5 °C, 5 < 6 and AT&T™ is #1"),
        ("\\*not bold\\*", "not bold"),
        ("Grüße, 你好! नमस्ते क्‍ष", "Grüße, 你好! नमस्ते क्‍ष"),
    ],
)
def test_markup_code_and_pictograms_are_not_spoken(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@given(st.text(alphabet="abcÄé你3 .,!?;:'()-\n", max_size=300), st.integers(1, 9))
def test_no_word_is_lost_from_the_model_to_the_voice(text: str, step: int) -> None:
    splitter, speaker = ClauseSplitter(), Speakable()
    pieces = [piece for start in range(0, len(text), step) for piece in splitter.push(text[start : start + step])]
    said = " ".join(speaker.words_of(piece) for piece in [*pieces, *splitter.finish()])
    assert re.findall(r"\w", said) == re.findall(r"\w", text)
    if "你" not in text:
        assert re.findall(r"\w+", said) == re.findall(r"\w+", text)


@given(st.text(max_size=300))
def test_any_text_is_made_speakable(text: str) -> None:
    said = speakable(text)
    assert not re.search("[\U0001f300-\U0001faff`]", said)
    assert said == said.strip()


def test_code_stays_unspoken_however_it_is_cut() -> None:
    text = "Here is how one does it in Python:\n```python\nfor x in y: print(x). Then\n    go(on)\n```\nThat is all there is. Fine?"
    for step in (1, 3, 50):
        splitter, speaker = ClauseSplitter(), Speakable()
        pieces = [piece for start in range(0, len(text), step) for piece in splitter.push(text[start : start + step])]
        said = [words for piece in [*pieces, *splitter.finish()] if (words := speaker.words_of(piece))]
        assert said == ["Here is how one does it in Python:", "That is all there is.", "Fine?"]


HOSTILE = ["-" * 5_000 + "x", "*" * 5_000, "[" * 5_000, "_ " * 2_500, "<a" * 2_500, "|" * 5_000, "🎉" * 5_000 + "x", " " * 5_000]


@pytest.mark.parametrize("text", [*HOSTILE, "." * 5_000, "[a. " * 1_200, "a. " * 1_600, "\n " * 2_500])
def test_no_text_makes_it_search_for_long(text: str) -> None:
    """Work that grew with the square of the length would not end within the test's time."""
    speakable(text)
    splitter = ClauseSplitter()
    cut = [piece for start in range(0, len(text), 3) for piece in splitter.push(text[start : start + 3])]
    assert "".join([*cut, *splitter.finish()]).strip() == text.strip()
