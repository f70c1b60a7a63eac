"""Who is loud enough to be the caller."""

from mistral_voice.gateway.session.config import ServerVad
from mistral_voice.gateway.vad.endpointer import Endpointer, Started
from mistral_voice.gateway.vad.level import ENOUGH_FRAMES, CallerLevel


def power(dbfs: float) -> float:
    return float(10 ** (dbfs / 10))


def a_caller(dbfs: float) -> CallerLevel:
    level = CallerLevel()
    for _ in range(ENOUGH_FRAMES):
        level.learn(power(dbfs))
    return level


def test_as_long_as_the_caller_is_unknown_any_voice_may_be_the_callers() -> None:
    assert CallerLevel().may_be_caller(power(-60))


def test_a_voice_much_quieter_than_the_caller_is_another() -> None:
    level = a_caller(-25)
    assert level.may_be_caller(power(-32))
    assert not level.may_be_caller(power(-38))


def test_a_loud_voice_may_be_the_callers_however_loud_the_caller_was() -> None:
    assert a_caller(-5).may_be_caller(power(-25))


def test_a_caller_who_has_moved_away_is_known_again_after_a_while() -> None:
    level = a_caller(-25)
    for _ in range(1000):
        level.learn(power(-45))
    assert level.may_be_caller(power(-52))


def test_the_level_counts_only_while_the_assistant_speaks_and_is_not_learnt_then() -> None:
    level = CallerLevel()
    endpointer = Endpointer(ServerVad(), 0, level)
    for _ in range(40):
        endpointer.frame(0.99, power(-25))
    for _ in range(40):
        endpointer.frame(0.0, 0.0)
    endpointer.guarded = True
    assert not any(isinstance(endpointer.frame(0.99, power(-42)), Started) for _ in range(40))
    assert level.may_be_caller(power(-32))
    endpointer.guarded = False
    assert any(isinstance(endpointer.frame(0.99, power(-42)), Started) for _ in range(40))
