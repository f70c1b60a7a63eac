"""Text is cut where one would breathe, never within a name or a number, and nothing of it is lost."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mistral_voice.gateway.text.clauses import LONGEST_CHARACTERS, LONGEST_WORD, ClauseSplitter


def pieces(*texts: str) -> list[str]:
    splitter = ClauseSplitter()
    return [piece.strip() for text in texts for piece in splitter.push(text)] + [piece.strip() for piece in splitter.finish()]


@given(st.lists(st.text(alphabet="abA .,!?\n3é—「。你:-[(]", max_size=40), max_size=20))
def test_the_pieces_joined_are_the_text(texts: list[str]) -> None:
    splitter = ClauseSplitter()
    cut = [piece for text in texts for piece in splitter.push(text)]
    rest = splitter.finish()
    whole = "".join(texts)
    joined = "".join([*cut, *rest])
    assert joined == whole or (whole.startswith(joined) and not whole[len(joined) :].strip())
    assert all(piece and len(piece) <= LONGEST_WORD for piece in cut)


def test_the_first_clause_comes_early_then_whole_sentences() -> None:
    text = "Well, the capital of France is Paris, which is large. It has, as they say, charm. More?"
    assert pieces(text) == ["Well, the capital of France is Paris,", "which is large.", "It has, as they say, charm.", "More?"]


def test_the_first_clause_goes_out_before_its_sentence_is_complete() -> None:
    assert ClauseSplitter().push("Well, the capital of France is Paris, w") == ["Well, the capital of France is Paris,"]


def test_the_first_clause_waits_until_it_is_long_enough() -> None:
    assert pieces("Yes. ", "Of course. ", "I can do that for you. ") == ["Yes. Of course. I can do that for you."]


WHOLE = [
    "3.14",
    "1,000,000.50",
    "1.234,56",
    "10:30",
    "3. Oktober",
    "Nr. 5",
    "No. 10",
    "Dr. Smith",
    "Mrs. Jones",
    "J. S. Bach",
    "George W. Bush",
    "U.S. troops",
    "e.g. this",
    "e.g., this",
    "i.e. that",
    "z. B. so",
    "d. h. anders",
    "bzw. jenes",
    "5 p.m. sharp",
    "10:30 a.m. sharp",
    "p. ex. celui",
    "M. Dupont",
    "Mme. Curie",
    "Sra. López",
    "pág. 12",
    "Sig. Rossi",
    "St. Mary",
    "approx. five",
    "ggf. noch",
    "vol. 2",
    "jane.doe@example.com",
    "https://www.example.com/a.b/c?d=1.5,2&e=f",
    "example.com",
    "192.168.0.1",
    "v2.0.1",
    "$1,234.56",
    "Ph.D. thesis",
    "Ludwig XIV. war",
    "[the page. Really](https://example.com/x?y=1)",
]


@pytest.mark.parametrize("name", WHOLE)
def test_a_name_a_number_or_an_address_is_never_cut(name: str) -> None:
    sentence = f"Und hier steht {name} mitten im Satz."
    assert pieces("Here is what I found for you today. ", sentence) == ["Here is what I found for you today.", sentence]


@given(
    st.lists(st.sampled_from([*WHOLE, "word", "another, longer", "end. Next", "so!", "¿Qué?", "— yes —", "line\nbreak"]), max_size=30),
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
)
def test_no_cut_falls_within_a_name_however_the_text_arrives(words: list[str], steps: list[int]) -> None:
    text, start = " and so ".join(words), 0
    tokens: list[str] = []
    while start < len(text):
        step = steps[len(tokens) % len(steps)]
        tokens.append(text[start : start + step])
        start += step
    splitter = ClauseSplitter()
    cut = [piece for token in tokens for piece in splitter.push(token)] + splitter.finish()
    assert "".join(cut).split() == text.split()
    ends = {sum(len(piece) for piece in cut[:count]) for count in range(1, len(cut))}
    position = 0
    for word in words:
        if word in WHOLE:
            assert not ends & set(range(position + 1, position + len(word))), (word, cut)
        position += len(word) + len(" and so ")


@given(st.text(alphabet="abA .,!?\n3é—「。你:-", max_size=400), st.integers(1, 7))
def test_the_cut_is_the_same_however_the_text_arrives(text: str, step: int) -> None:
    tokens = [text[start : start + step] for start in range(0, len(text), step)]
    assert pieces(*tokens) == pieces(*text)


@pytest.mark.parametrize(
    "expected",
    [
        ["Die Hauptstadt von Frankreich ist Paris,", "glaube ich.", "Stimmt's?", "Ja!"],
        ["La capitale de la France est Paris ;", "c'est grand.", "Vraiment ?", "Oui."],
        ["¿Cuál es la capital de Francia?", "¡Es París!", "Claro."],
        ["عاصمة فرنسا هي باريس، وهي مدينة كبيرة.", "هل هذا واضح؟", "نعم."],
        ["फ्रांस की राजधानी पेरिस है।", "क्या आप जानते हैं?", "हाँ।"],
        ['He said: "I will be there."', "She nodded.", "Fine!"],
        ["Really, that is what he asked?", "Well...", "It was 1984.", "Then it was over."],
        ["It surely holds five or so.", "He has no. 5 and vol. 2 of it.", "We ate etc. and so on.", "So be it.", "Good."],
    ],
)
def test_every_language_is_cut_at_its_own_ends(expected: list[str]) -> None:
    assert pieces(*" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["法国的首都是巴黎，", "它是一个大城市。", "你还想知道什么？", "我在这里。"],
        ["フランスの首都はパリです。", "「本当？」", "はい。"],
    ],
)
def test_languages_without_spaces_are_cut_too(expected: list[str]) -> None:
    assert pieces(*"".join(expected)) == expected


def test_text_without_an_end_is_cut_at_a_space() -> None:
    cut = pieces("word " * 200)
    assert len(cut) > 2
    assert all(piece.startswith("word") and piece.endswith("word") for piece in cut)
    assert all(len(piece) <= LONGEST_CHARACTERS for piece in cut)


def test_a_long_sentence_is_cut_where_it_pauses() -> None:
    clause = "and then there was yet another one of them"
    cut = pieces("This is how the long story begins. ", f"{clause}, " * 20)
    assert len(cut) > 2
    assert all(piece.endswith((".", ",")) for piece in cut)
