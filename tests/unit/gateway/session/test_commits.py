"""Turns that the client ends: it commits its audio, or takes it back."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import SessionPatch
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.input_audio import MOST_AWAITED_TURNS
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy, names

FAULT = Fault(FaultKind.UNAVAILABLE, "Mistral is not available at the moment (503).")


def test_push_to_talk_replies_to_the_words_although_they_come_after_the_request() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(MS * 500), inputs.AppendAudio(MS * 500), inputs.CommitAudio(), inputs.CreateResponse())
    assert desk.all(events.ResponseCreated)
    assert not desk.all(commands.StartReply)
    turn = desk.last(commands.FinishTurn)
    assert turn.to_ms == 1000
    desk.give(inputs.TranscriptDone(turn.item_id, "Ten four."))
    assert desk.last(commands.StartReply).request.messages[-1].content == "Ten four."


def test_push_to_talk_with_a_lost_transcript_fails_the_reply() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(MS * 500), inputs.CommitAudio(), inputs.CreateResponse())
    desk.give(inputs.TranscriptFailed(desk.last(commands.FinishTurn).item_id, FAULT))
    assert desk.last(events.ResponseDone).response.fault == FAULT


@pytest.mark.parametrize("length_ms", [0, 99])
def test_committing_too_little_audio_is_refused(length_ms: int) -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(MS * length_ms), inputs.CommitAudio("e7"))
    error = desk.last(events.ErrorOccurred)
    assert (error.code, error.client_event_id) == ("input_audio_buffer_commit_empty", "e7")


def test_half_a_sample_waits_for_its_other_half() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(b"\x01\x02\x03"), inputs.AppendAudio(b"\x04"))
    assert [heard.audio for heard in desk.all(commands.Hear)] == [b"\x01\x02", b"\x03\x04"]


def test_clearing_takes_the_audio_back() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(MS * 500), inputs.ClearAudio(), inputs.CommitAudio())
    assert desk.last(commands.DropTurn).item_id == desk.last(commands.StartTurn).item_id
    assert desk.last(events.ErrorOccurred).code == "input_audio_buffer_commit_empty"


def test_a_commit_by_the_client_ends_a_detected_turn_and_detection_begins_anew() -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, 1), inputs.CommitAudio())
    assert desk.last(commands.FinishTurn).to_ms == 3000
    assert desk.last(commands.Detect).epoch == 2
    desk.give(inputs.VoiceStopped(2800, 1))
    assert [stopped.audio_end_ms for stopped in desk.all(events.SpeechStopped)] == [3000]


def test_a_client_can_not_commit_while_too_many_transcripts_are_awaited() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    for _ in range(MOST_AWAITED_TURNS + 3):
        desk.give(inputs.AppendAudio(MS * 100), inputs.CommitAudio())
    assert [error.code for error in desk.all(events.ErrorOccurred)] == ["rate_limit_exceeded"] * 3
    assert len(desk.all(commands.StartTurn)) == MOST_AWAITED_TURNS + 1
    assert desk.all(commands.Count) == [commands.Count(commands.Happening.TURNS_LIMITED)] * 3
    desk.give(inputs.TranscriptDone(desk.all(commands.StartTurn)[0].item_id, "One."), inputs.CommitAudio())
    assert len(desk.all(events.AudioCommitted)) == MOST_AWAITED_TURNS + 1


@pytest.mark.parametrize("ends", [inputs.CommitAudio(), inputs.ClearAudio()])
@pytest.mark.parametrize("detection_ends_first", [False, True])
def test_speech_that_the_client_ends_has_stopped(ends: inputs.ClientInput, detection_ends_first: bool) -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 900), inputs.VoiceStarted(0, 1))
    if detection_ends_first:
        desk.give(inputs.UpdateSession(SessionPatch(turn_detection=None)))
    stopped, over, *_ = names(desk.give(ends))
    assert stopped == "SpeechStopped"
    assert over in ("AudioCommitted", "AudioCleared")
    assert desk.last(events.SpeechStopped) == events.SpeechStopped(desk.last(events.SpeechStarted).item_id, 900)


@pytest.mark.parametrize("ends", [inputs.CommitAudio(), inputs.ClearAudio()])
def test_audio_without_speech_is_ended_without_a_word_of_it(ends: inputs.ClientInput) -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 900), ends)
    assert not desk.all(events.SpeechStopped)
