"""How a session ends: by its duration, by a drain, always after its turn."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import EndReason
from mistral_voice.gateway.session.core import TURN_GRACE_MS
from tests.support.session import MS, Desk, a_policy
from tests.support.speaking import reply_of, spoken_turn


def test_an_idle_session_ends_at_its_maximum_duration() -> None:
    desk = Desk(a_policy(max_duration_ms=5000))
    assert not desk.wait(4999)
    desk.wait(1)
    assert desk.last(events.ErrorOccurred).code == "session_expired"
    assert desk.last(events.ErrorOccurred).type == "invalid_request_error"
    end = desk.last(commands.EndSession)
    assert (end.close_code, end.reason) == (1000, EndReason.EXPIRED)
    assert not desk.give(inputs.CreateResponse())


def test_the_turn_is_finished_before_the_session_expires() -> None:
    desk = Desk(a_policy(max_duration_ms=5000))
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, 1))
    desk.wait(6000)
    assert not desk.session.has_ended
    desk.give(inputs.VoiceStopped(2500, 1))
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, "Last words?"))
    assert not desk.session.has_ended
    reply_of(desk)
    assert [type(output).__name__ for output in desk.outputs[-3:]] == ["ResponseDone", "ErrorOccurred", "EndSession"]


def test_a_turn_without_end_is_cut_after_a_grace() -> None:
    desk = Desk(a_policy(max_duration_ms=5000))
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "Tell me everything."))
    desk.wait(5000 + TURN_GRACE_MS - 1)
    assert not desk.session.has_ended
    desk.wait(1)
    assert desk.last(events.ResponseDone).response.status == "cancelled"
    assert desk.session.has_ended


def test_no_new_turn_begins_once_the_time_is_over() -> None:
    desk = Desk(a_policy(max_duration_ms=5000))
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "One."))
    desk.wait(5500)
    desk.give(inputs.VoiceStarted(2300, 1))
    assert len(desk.all(events.SpeechStarted)) == 1
    reply_of(desk)
    assert desk.session.has_ended


@pytest.mark.parametrize("busy", [False, True])
def test_a_drained_session_closes_with_1001_and_without_an_error(busy: bool) -> None:
    desk = Desk()
    if busy:
        desk.give(inputs.TranscriptDone(spoken_turn(desk), "Hello."))
    desk.give(inputs.Drain())
    assert desk.session.has_ended is not busy
    if busy:
        reply_of(desk)
    assert desk.last(commands.EndSession).close_code == 1001
    assert not desk.all(events.ErrorOccurred)


def test_push_to_talk_may_still_ask_for_the_reply_to_its_last_turn() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(MS * 500), inputs.Drain(), inputs.CommitAudio(), inputs.CreateResponse())
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, "Over."))
    reply_of(desk)
    assert desk.last(events.ResponseDone).response.status == "completed"
    assert desk.session.has_ended


def test_the_client_is_told_when_its_session_expires() -> None:
    assert Desk().all(events.SessionCreated)[0].session.expires_at == 1_800_000_000


def test_an_earlier_end_is_announced_and_its_reason_is_what_the_client_hears() -> None:
    desk = Desk(a_policy(max_duration_ms=60_000))
    announced = desk.last(events.SessionCreated).session.expires_at
    desk.give(inputs.EndsEarlier(announced - 50, 2000, 1000, "The namespace's seconds are used up."))
    assert desk.last(events.SessionUpdated).session.expires_at == announced - 50
    desk.wait(2000)
    assert desk.last(events.ErrorOccurred).message == "The namespace's seconds are used up."
    assert desk.last(commands.EndSession).reason is EndReason.EXPIRED


def test_an_earlier_end_gives_the_open_turn_the_time_that_is_left() -> None:
    desk = Desk(a_policy(max_duration_ms=60_000))
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "Tell me everything."))
    desk.give(inputs.EndsEarlier(1, 2000, 1000, "Over."))
    desk.wait(2999)
    assert not desk.session.has_ended
    desk.wait(1)
    assert desk.session.has_ended


def test_a_later_end_than_agreed_changes_nothing() -> None:
    desk = Desk(a_policy(max_duration_ms=5000))
    assert not desk.give(inputs.EndsEarlier(1, 6000, 1000, "Over."))
    desk.wait(5000)
    assert "maximum duration" in desk.last(events.ErrorOccurred).message


@pytest.mark.parametrize("by_hand", [False, True])
def test_audio_that_comes_too_late_for_another_turn_is_none_that_could_be_committed(by_hand: bool) -> None:
    desk = Desk(a_policy(manual_turns_only=by_hand))
    desk.give(inputs.AppendAudio(MS * 500), inputs.CommitAudio(), inputs.CreateResponse())
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, "Hello."), inputs.Drain())
    assert not desk.session.hear(MS * 200, desk.now_ms)
    desk.give(inputs.AppendAudio(MS * 200), inputs.CommitAudio())
    assert desk.last(events.ErrorOccurred).code == "input_audio_buffer_commit_empty"
    assert sum(len(hear.audio) for hear in desk.all(commands.Hear)) == len(MS * 500)
    assert len(desk.all(events.AudioCommitted)) == 1
