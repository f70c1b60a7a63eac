"""The scripted ear: what it hears, and when, in audio time."""

from typing import Any

import msgspec
import numpy as np

from mistral_voice.simulator.dialect import Dialect, LastWords
from mistral_voice.simulator.script import TranscriptionScript
from mistral_voice.simulator.scripted.ear import ScriptedEar
from mistral_voice.simulator.wire.transcription import AudioFormat, Session, TurnDetection

RATE = 16_000
LOUD = np.full(RATE // 50, 0.3, np.float32)
QUIET = np.zeros(RATE // 50, np.float32)


def make_ear(script: dict[str, Any], *, native: bool = True, dialect: Dialect | None = None, min_silence_ms: int = 500) -> ScriptedEar:
    session = Session(
        "r", "m", AudioFormat("pcm_s16le", RATE), turn_detection=TurnDetection(min_silence_ms=min_silence_ms) if native else None
    )
    transcription = msgspec.convert(script, TranscriptionScript)
    return ScriptedEar(session, transcription, transcription.turns, dialect or Dialect())


async def play(ear: ScriptedEar, *parts: tuple[str, int]) -> list[tuple[int, str, str]]:
    """Play loud and quiet audio; returns (audio time in ms, event type, text) as it came out, frame by frame."""
    heard, position = [], 0
    for kind, duration_ms in parts:
        for _ in range(duration_ms // 20):
            position += 20
            for item in await ear.hear(LOUD if kind == "loud" else QUIET):
                event = msgspec.to_builtins(item.event)
                heard.append((position, event["type"], event.get("text", "")))
    return heard


async def test_a_turn_starts_and_ends_by_loudness() -> None:
    ear = make_ear({"turns": [{"text": "Hello you", "language": None}]})
    assert await play(ear, ("quiet", 200), ("loud", 400), ("quiet", 800)) == [
        (260, "turn.start", ""),
        (800, "turn.eager_end", ""),
        (1100, "transcription.text.delta", "Hello you"),
        (1100, "turn.end", ""),
    ]


async def test_the_same_audio_in_other_portions_gives_the_same_events() -> None:
    script = {"turns": [{"text": "one two three", "word_ms": 100}]}
    audio = np.concatenate([QUIET] * 5 + [LOUD] * 20 + [QUIET] * 40)
    outcomes = []
    for size in (3, 7, 320, 1000, len(audio)):
        ear = make_ear(script)
        events = []
        for start in range(0, len(audio), size):
            events += [item.event for item in await ear.hear(audio[start : start + size])]
        outcomes.append(events)
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len(outcomes[0]) == 7


async def test_a_pause_within_a_turn_resumes_it() -> None:
    ear = make_ear({"turns": [{"text": "Hello", "language": None}]})
    heard = await play(ear, ("loud", 200), ("quiet", 300), ("loud", 100), ("quiet", 600))
    assert [(at, kind) for at, kind, _ in heard if kind.startswith("turn")] == [
        (60, "turn.start"),
        (400, "turn.eager_end"),
        (520, "turn.resume"),
        (800, "turn.eager_end"),
        (1100, "turn.end"),
    ]


async def test_a_pause_for_thought_ends_no_turn_that_waits_for_its_words() -> None:
    ear = make_ear({"turns": [{"text": "well maybe tomorrow", "word_ms": 600, "waits_for_words": True, "language": None}]})
    heard = await play(ear, ("loud", 300), ("quiet", 700), ("loud", 400), ("quiet", 600))
    assert [(at, kind) for at, kind, _ in heard if kind.startswith("turn")] == [
        (60, "turn.start"),
        (500, "turn.eager_end"),
        (1020, "turn.resume"),
        (1600, "turn.eager_end"),
        (1900, "turn.end"),
    ]


async def test_words_come_while_they_are_spoken_and_the_last_at_the_end() -> None:
    ear = make_ear({"turns": [{"text": "one two three four", "word_ms": 100, "language": None}]}, native=False)
    assert await play(ear, ("loud", 600), ("quiet", 600)) == [
        (100, "transcription.text.delta", "one"),
        (200, "transcription.text.delta", " two"),
        (300, "transcription.text.delta", " three"),
        (1100, "transcription.text.delta", " four"),
    ]


async def test_deltas_come_at_their_times_after_the_turns_start() -> None:
    turn = {"language": None, "deltas": [{"text": "a", "at_ms": 100}, {"text": "b", "at_ms": 300}, {"text": "c", "at_ms": 9000}]}
    ear = make_ear({"turns": [turn]}, native=False)
    heard = await play(ear, ("quiet", 1000), ("loud", 600), ("quiet", 600))
    assert [(at, text) for at, _, text in heard] == [(1100, "a"), (1300, "b"), (2100, "c")]


async def test_a_second_turn_begins_with_a_space_and_turns_repeat() -> None:
    ear = make_ear({"turns": [{"text": "one", "language": None}, {"text": "two", "language": None}]}, native=False)
    heard = await play(ear, *[("loud", 200), ("quiet", 600)] * 3)
    assert "".join(text for _, _, text in heard) == "one two one"


async def test_without_repetition_later_turns_hold_no_words() -> None:
    ear = make_ear({"turns": [{"text": "one"}], "repeat": False})
    heard = await play(ear, *[("loud", 200), ("quiet", 600)] * 2)
    assert [kind for _, kind, _ in heard].count("turn.end") == 2
    assert "".join(text for _, _, text in heard) == "one"


async def test_a_flush_gives_the_rest_at_once_and_needs_new_speech_afterwards() -> None:
    ear = make_ear({"turns": [{"text": "one two three", "word_ms": 100}]}, native=False)
    await play(ear, ("loud", 120))
    assert [getattr(item.event, "text", "") for item in await ear.flush()] == [" two three"]
    assert await ear.flush() == []
    assert await play(ear, ("quiet", 2000)) == []
    assert [text for _, _, text in await play(ear, ("loud", 120))] == [" one"]


async def test_silence_is_no_turn() -> None:
    ear = make_ear({})
    assert await play(ear, ("quiet", 3000)) == []
    assert await ear.flush() == []
    assert await ear.end() == []


async def test_a_click_is_no_turn() -> None:
    assert await play(make_ear({}), ("loud", 40), ("quiet", 1000)) == []


async def test_anything_hears_silence_too_and_ends_only_by_a_flush() -> None:
    ear = make_ear({"listening": "anything", "turns": [{"text": "pushed", "language": None}]})
    assert [kind for _, kind, _ in await play(ear, ("quiet", 2000))] == ["turn.start"]
    assert [getattr(item.event, "text", "") for item in await ear.flush()] == ["pushed"]
    assert await ear.flush() == []


async def test_offsets_say_when_turns_are_whatever_the_audio_holds() -> None:
    turns = [
        {"text": "one", "start_ms": 100, "eager_end_ms": 300, "resume_ms": 340, "end_ms": 500, "language": None},
        {"text": "two", "start_ms": 700, "end_ms": 800, "language": None, "end_reason": "timeout"},
    ]
    ear = make_ear({"listening": "offsets", "turns": turns})
    assert await play(ear, ("quiet", 2000)) == [
        (100, "turn.start", ""),
        (300, "turn.eager_end", ""),
        (340, "turn.resume", ""),
        (500, "transcription.text.delta", "one"),
        (500, "turn.end", ""),
        (700, "turn.start", ""),
        (800, "transcription.text.delta", " two"),
        (800, "turn.end", ""),
    ]


async def test_last_words_can_be_withheld_until_more_audio_or_the_end() -> None:
    ear = make_ear({"turns": [{"text": "one two", "language": None}]}, native=False, dialect=Dialect(last_words=LastWords.AT_END))
    heard = await play(ear, ("loud", 200), ("quiet", 600), ("loud", 200), ("quiet", 600))
    assert [text for _, _, text in heard] == ["one", " two", " one"]
    assert [getattr(item.event, "text", "") for item in await ear.end()] == [" two"]


async def test_the_session_decides_how_much_silence_ends_a_turn() -> None:
    ear = make_ear({"eager_end_ms": 60}, min_silence_ms=100)
    heard = await play(ear, ("loud", 200), ("quiet", 200))
    assert (300, "turn.end", "") in heard


async def test_text_may_come_after_the_end_and_late() -> None:
    ear = make_ear({"turns": [{"text": "late", "text_after_end": True, "final_delay_ms": 70}]})
    await play(ear, ("loud", 200), ("quiet", 480))
    ended = await ear.hear(QUIET)
    assert [(type(item.event).__name__, item.delay_ms) for item in ended] == [("TurnEnd", 0.0), ("TextDelta", 70)]
