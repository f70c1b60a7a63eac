from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.simulator.live.mind import answer, in_words, plain
from tests.support.words import word_error_rate

NOON = datetime(2026, 11, 2, 12, 5)  # noqa: DTZ001 - a wall clock's time, as the demo tells it


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        ("What is the capital of France?", "Paris is the capital of France."),
        ("france what's its capital", "Paris is the capital of France."),
        ("what is two plus two", "Two plus two makes four."),
        ("what is seven minus nine", "Seven minus nine makes minus two."),
        ("what is to plus for", "Two plus four makes six."),
        ("What time is it?", "The time is twelve oh five in the afternoon."),
        ("what day is it today", "Today is Monday."),
        ("what is the weather like today", "The sun is shining and it is warm outside."),
        ("what can you do", "I can tell you the time, and I can answer simple questions."),
        ("Who are you?", "You can call me Joe, I live in this machine."),
        ("can you tell me the joke", "Why did the chicken cross the road? To get to the other side."),
        ("thank you very much", "With pleasure. It was nice to talk with you."),
        ("oh how're you", "I am very well, thank you."),
        ("Hello.", "Good morning. What can I do for you?"),
        ("goodbye", "Goodbye. Have a very good day."),
        ("the house is on the hill", "You said, the house is on the hill."),
        ("", "I am sorry, I did not hear you. Please say that again."),
        ("?!", "I am sorry, I did not hear you. Please say that again."),
    ],
)
def test_plain_questions_get_plain_answers(question: str, reply: str) -> None:
    assert answer(question, NOON) == reply


@given(st.text(max_size=2000), st.datetimes())
def test_there_is_always_a_short_answer(heard: str, now: datetime) -> None:
    assert 0 < len(answer(heard, now)) <= 2100


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [
        (0, 0, "twelve o'clock in the morning"),
        (9, 30, "nine thirty in the morning"),
        (13, 1, "one oh one in the afternoon"),
        (23, 59, "eleven fifty nine in the evening"),
    ],
)
def test_the_time_is_said_in_words(hour: int, minute: int, said: str) -> None:
    assert answer("what time is it", NOON.replace(hour=hour, minute=minute)) == f"The time is {said}."


def test_numbers_are_said_in_words() -> None:
    assert [in_words(number) for number in (0, 9, 10, 19, 20, 21, 99)] == [
        "zero",
        "nine",
        "ten",
        "nineteen",
        "twenty",
        "twenty one",
        "ninety nine",
    ]


def test_plain_words() -> None:
    assert plain("  What’s  UP, Doc?! ") == "what's up doc"


@pytest.mark.parametrize(
    ("said", "heard", "rate"),
    [
        ("a b c d", "a b c d", 0),
        ("A, b.", "a b", 0),
        ("a b c d", "a x c", 0.5),
        ("a b", "", 1),
        ("a b", "a b c d", 1),
        ("", "a", 1),
        ("", "", 0),
    ],
)
def test_the_word_error_rate(said: str, heard: str, rate: float) -> None:
    assert word_error_rate(said, heard) == rate
