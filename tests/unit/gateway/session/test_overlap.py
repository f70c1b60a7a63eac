"""What a turn over the assistant's speech means."""

import pytest

from mistral_voice.gateway.session.backchannels import is_backchannel
from mistral_voice.gateway.session.heard import SpokenSegment
from mistral_voice.gateway.session.overlap import Meaning, has_asked, has_finished, meaning

STORY = (SpokenSegment("Once upon a time there was a king,", 2000, 2000), SpokenSegment("who had three daughters.", 500, 2000))


@pytest.mark.parametrize(
    "text",
    [
        *("Mhm.", "mm-hmm", "Uh-huh", "Yeah.", "Yeah, yeah, yeah.", "OK", "Right.", "Oh, I see."),
        *("Ouais.", "D'accord.", "D’accord, oui.", "Genau!", "Ja, genau.", "Alles klar.", "Sí.", "Ya veo.", "De acuerdo, vale."),
    ],
)
def test_signs_of_listening_are_told_in_four_languages(text: str) -> None:
    assert is_backchannel(text)
    assert meaning(text, STORY, 2300, 1500) is Meaning.BACKCHANNEL


@pytest.mark.parametrize(
    "text", ["", "Stop.", "No.", "Wait", "Yeah, but why?", "Right?", "ok ok ok ok ok", "Yes please stop", "Nein.", "Non, attendez."]
)
def test_words_that_are_meant_are_no_backchannels(text: str) -> None:
    assert not is_backchannel(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Meaning.NOTHING),
        ("  ", Meaning.NOTHING),
        ("Stop, please.", Meaning.WORDS),
        ("A time there was.", Meaning.ECHO),
        ("once upon a time there was a king who had", Meaning.ECHO),
        ("there was a king", Meaning.ECHO),
        ("once upon a time", Meaning.ECHO),
        ("a king", Meaning.WORDS),
        ("upon a dime", Meaning.WORDS),
        ("was a king really so rich", Meaning.WORDS),
    ],
)
def test_an_echo_is_what_was_said_or_a_part_of_it(text: str, expected: Meaning) -> None:
    assert meaning(text, STORY, 1200, 1500) is expected


def test_a_short_reply_is_its_own_echo_only_as_a_whole() -> None:
    said = (SpokenSegment("Paris.", 500, 500),)
    assert meaning("Paris", said, 200, 1500) is Meaning.ECHO
    assert meaning("Paris Texas", said, 200, 1500) is Meaning.WORDS


@pytest.mark.parametrize(("heard_ms", "lasted_ms"), [(2500, 1500), (300, 600)])
def test_only_what_sounds_at_that_time_echoes(heard_ms: float, lasted_ms: float) -> None:
    assert meaning("a time there was", STORY, 1000, 1500) is Meaning.ECHO
    assert meaning("a time there was", STORY, heard_ms, lasted_ms) is Meaning.WORDS


def test_a_word_that_the_assistant_has_just_asked_for_is_the_answer() -> None:
    said = (SpokenSegment("Say yes to continue.", 1500, 1500), SpokenSegment("Otherwise I end the call.", 1000, 2000))
    assert meaning("Yes.", said, 2000, 800) is Meaning.WORDS
    assert meaning("Mhm.", said, 2000, 800) is Meaning.BACKCHANNEL


def test_what_was_not_sent_can_not_echo() -> None:
    said = (*STORY, SpokenSegment("The eldest was called Anna.", 0, 1500))
    assert meaning("The eldest was called Anna.", said, 2300, 1500) is Meaning.WORDS


QUESTION = (
    SpokenSegment("I can book a table for you.", 2000, 2000),
    SpokenSegment("Shall I do that?", 1000, 1000),
    SpokenSegment("It is no trouble.", 1000, 1000),
    SpokenSegment("They have a garden, too.", 1000, 1500),
)


@pytest.mark.parametrize(("heard_ms", "asked"), [(0, False), (1000, False), (2100, False), (2500, True), (3500, True), (4500, False)])
def test_a_question_is_the_sentence_that_is_heard_or_the_one_before(heard_ms: float, asked: bool) -> None:
    assert has_asked(QUESTION, heard_ms) is asked
    assert meaning("Yes.", QUESTION, heard_ms, 1500) is (Meaning.WORDS if asked else Meaning.BACKCHANNEL)


def test_a_question_cut_into_clauses_is_one() -> None:
    said = (SpokenSegment("Do you want red wine with that,", 2000, 2000), SpokenSegment("or white?", 500, 500))
    assert has_asked(said, 1500)


def test_a_short_word_after_the_end_is_an_answer() -> None:
    said = (SpokenSegment("There are three daughters.", 2000, 2000),)
    assert not has_finished(said, 1500)
    assert has_finished(said, 1800)
    assert meaning("OK.", said, 1800, 1500) is Meaning.WORDS
