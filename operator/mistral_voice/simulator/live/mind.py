"""A small mind: it answers plain questions by rules, in words that its own ear understands well."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBERS = {word: number for number, word in enumerate([*_DIGITS, *_TEENS, "twenty"])} | {"to": 2, "too": 2, "for": 4}
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_CAPITALS = {
    "france": "Paris is the capital of France.",
    "germany": "The capital of Germany is the city of Berlin.",
    "spain": "Madrid is the capital of Spain.",
    "england": "The capital of England is London.",
    "japan": "Tokyo is the capital of Japan.",
}
_MAX_REPEATED_WORDS = 12


@dataclass(frozen=True)
class Rule:
    """An answer to what matches a pattern; the pattern is searched for in lower-case words without punctuation."""

    pattern: "re.Pattern[str]"
    answer: Callable[["re.Match[str]", datetime], str]


def answer(heard: str, now: datetime) -> str:
    """Return the reply to what was heard, as one or two plain sentences. `now` is the local time."""
    words = plain(heard)
    if not words:
        return "I am sorry, I did not hear you. Please say that again."
    for rule in RULES:
        match = rule.pattern.search(words)
        if match:
            return rule.answer(match, now)
    repeated = " ".join(words.split()[:_MAX_REPEATED_WORDS])
    return f"You said, {repeated}."


def plain(text: str) -> str:
    """Return a text as lower-case words with single spaces."""
    return " ".join(re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("’", "'")).split())


def in_words(number: int) -> str:
    """Return a number from 0 to 99 in words."""
    if number < 10:
        return _DIGITS[number]
    if number < 20:
        return _TEENS[number - 10]
    tens, digit = divmod(number, 10)
    return _TENS[tens] + (f" {_DIGITS[digit]}" if digit else "")


def _time(_: "re.Match[str]", now: datetime) -> str:
    part = "morning" if now.hour < 12 else "afternoon" if now.hour < 18 else "evening"
    hour = in_words((now.hour - 1) % 12 + 1)
    minute = "o'clock" if now.minute == 0 else in_words(now.minute) if now.minute >= 10 else f"oh {in_words(now.minute)}"
    return f"The time is {hour} {minute} in the {part}."


def _sum(match: "re.Match[str]", _: datetime) -> str:
    left, right = (_NUMBERS[match[side]] for side in ("left", "right"))
    result = left + right if match["sign"] == "plus" else left - right
    return f"{in_words(left).capitalize()} {match['sign']} {in_words(right)} makes {'minus ' if result < 0 else ''}{in_words(abs(result))}."


def _said(sentence: str) -> Callable[["re.Match[str]", datetime], str]:
    return lambda _, __: sentence


def _rule(pattern: str, reply: str | Callable[["re.Match[str]", datetime], str]) -> Rule:
    return Rule(re.compile(rf"\b(?:{pattern})\b"), _said(reply) if isinstance(reply, str) else reply)


_NUMBER = "|".join(sorted(_NUMBERS, key=len, reverse=True))

RULES = (
    _rule(f"(?P<left>{_NUMBER}) (?P<sign>plus|minus) (?P<right>{_NUMBER})", _sum),
    *(_rule(rf"capital .*{country}|{country}.* capital", sentence) for country, sentence in _CAPITALS.items()),
    _rule(r"(what|the|tell me the|have the) time", _time),
    _rule(r"(what|which) day|today's date|day is it", lambda _, now: f"Today is {_DAYS[now.weekday()]}."),
    _rule(r"weather", "The sun is shining and it is warm outside."),
    _rule(
        r"(what|which) .*(can|do|could) you (do|know|help|answer)|help me|what can i (ask|say)",
        "I can tell you the time, and I can answer simple questions.",
    ),
    _rule(r"your name|who are you|who am i (talking|speaking)", "You can call me Joe, I live in this machine."),
    _rule(r"joke", "Why did the chicken cross the road? To get to the other side."),
    _rule(r"thank you|thanks", "With pleasure. It was nice to talk with you."),
    _rule(r"good ?bye|bye|see you", "Goodbye. Have a very good day."),
    _rule(r"how('re| are) (you|things)|are you (today|well|okay|all right)", "I am very well, thank you."),
    _rule(r"can you hear me|testing|is this (on|working)", "Yes, I can hear you very well."),
    _rule(r"good (morning|afternoon|evening)|hello|hi|hey|hell oh", "Good morning. What can I do for you?"),
)
