"""A caller who says nothing."""

from typing import Any

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import SessionPatch, TranscriptionPatch, TurnDetectionKind, TurnDetectionPatch
from mistral_voice.gateway.session.messages import SILENCE
from tests.support.session import MS, Desk, names
from tests.support.speaking import reply_of, spoken_turn


def waiting(**detection: Any) -> Desk:
    """A session that waits for 2 s, in which the assistant has spoken for half a second."""
    desk = Desk()
    patch = TurnDetectionPatch(idle_timeout_ms=2000, **detection)
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=patch)), inputs.CreateResponse())
    reply_of(desk, "Hello there.")
    return desk


def test_a_silent_caller_is_spoken_to_again() -> None:
    desk = waiting()
    desk.give(inputs.UpdateSession(SessionPatch(transcription=TranscriptionPatch())), inputs.AppendAudio(MS * 2500))
    desk.outputs.clear()
    desk.wait(2400)
    assert not desk.all(events.IdleTimedOut), "half a second of it was the reply's playback"
    desk.wait(100)
    assert names(desk.outputs) == ["IdleTimedOut", "AudioCommitted", "ItemAdded", "ItemDone", "TranscriptionCompleted", "ResponseCreated"]
    silence = desk.last(events.IdleTimedOut)
    assert (silence.audio_start_ms, silence.audio_end_ms) == (500, 2500)
    assert desk.last(commands.StartReply).request.messages[-1].content == SILENCE


def test_the_silence_counts_anew_after_each_reply_and_each_turn() -> None:
    desk = waiting()
    desk.wait(2000)
    desk.give(inputs.TranscriptDone(spoken_turn(desk, 400, 1000), ""))
    desk.wait(1900)
    assert not desk.all(events.IdleTimedOut)
    desk.wait(200)
    reply_of(desk, "Are you there?")
    desk.wait(10_000)
    assert len(desk.all(events.IdleTimedOut)) == 2


def test_nobody_is_spoken_to_before_the_first_reply_or_while_speaking() -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(idle_timeout_ms=2000))))
    desk.wait(10_000)
    assert not desk.all(events.IdleTimedOut)
    desk = waiting()
    desk.give(inputs.AppendAudio(MS * 100), inputs.VoiceStarted(0, desk.last(commands.Detect).epoch))
    desk.wait(10_000)
    assert not desk.all(events.IdleTimedOut)


@pytest.mark.parametrize("patch", [None, TurnDetectionPatch(idle_timeout_ms=None), TurnDetectionPatch(kind=TurnDetectionKind.SEMANTIC_VAD)])
def test_it_can_be_switched_off(patch: TurnDetectionPatch | None) -> None:
    desk = waiting()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=patch)))
    desk.wait(100_000)
    assert not desk.all(events.IdleTimedOut)


@pytest.mark.parametrize("timeout_ms", [0, 999, 3_600_001])
def test_a_timeout_out_of_bounds_is_refused(timeout_ms: int) -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(idle_timeout_ms=timeout_ms))))
    assert desk.last(events.ErrorOccurred).param == "session.audio.input.turn_detection.idle_timeout_ms"
