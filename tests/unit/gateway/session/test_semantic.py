"""Turns that end by what is said: Mistral's events decide, and local detection helps out."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Happening
from mistral_voice.gateway.session.config import Eagerness, SessionPatch, TurnDetectionKind, TurnDetectionPatch
from mistral_voice.gateway.session.input_audio import STALLED_MS, TRANSCRIPT_RETRY_MS
from mistral_voice.gateway.session.items import Message, Role
from mistral_voice.gateway.session.semantic import SHORTEST_MS, UNNOTICED_MS
from mistral_voice.gateway.session.semantic import STALLED_MS as EVENTS_STALLED_MS
from mistral_voice.mistral.stream.turn_events import TurnSign
from tests.support.session import MS, Desk, names


def semantic_desk(eagerness: Eagerness = Eagerness.AUTO, *, create_response: bool = True) -> Desk:
    """A session under semantic detection."""
    desk = Desk()
    patch = TurnDetectionPatch(kind=TurnDetectionKind.SEMANTIC_VAD, eagerness=eagerness, create_response=create_response)
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=patch)))
    return desk


def epoch(desk: Desk) -> int:
    return desk.last(commands.Detect).epoch


def begin(desk: Desk, at_ms: int = 400, audio_ms: int = 3000) -> str:
    """Let the caller begin to speak, heard by both; returns the turn's item id."""
    desk.give(inputs.AppendAudio(MS * audio_ms), inputs.VoiceStarted(at_ms, epoch(desk)))
    item_id = desk.last(commands.StartTurn).item_id
    desk.give(inputs.TurnEvent(item_id, TurnSign.START, 280))
    return item_id


@pytest.mark.parametrize(
    ("eagerness", "end_timeout_ms"), [(Eagerness.LOW, 8000), (Eagerness.MEDIUM, 4000), (Eagerness.HIGH, 2000), (Eagerness.AUTO, 4000)]
)
def test_eagerness_is_mistrals_end_timeout(eagerness: Eagerness, end_timeout_ms: int) -> None:
    desk = semantic_desk(eagerness)
    begin(desk)
    assert desk.last(commands.StartTurn).end_timeout_ms == end_timeout_ms


def test_the_turn_begins_at_once_and_ends_when_mistral_says_so() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    started = desk.last(events.SpeechStarted)
    assert (started.item_id, started.audio_start_ms) == (item_id, 100)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)), inputs.TurnEvent(item_id, TurnSign.EAGER_END, 1600))
    assert not desk.all(events.AudioCommitted)
    desk.give(inputs.TranscriptDelta(item_id, "Where is it?"), inputs.TurnEvent(item_id, TurnSign.END, 2100))
    assert desk.last(events.SpeechStopped).audio_end_ms == 2200
    assert desk.last(commands.FinishTurn).to_ms == 2200
    desk.give(inputs.TranscriptDone(item_id))
    assert desk.last(commands.StartReply).request.messages[-1].content == "Where is it?"


def test_a_pause_for_thought_does_not_end_the_turn() -> None:
    desk = semantic_desk(Eagerness.LOW)
    item_id = begin(desk, audio_ms=9000)
    desk.give(inputs.VoiceStopped(1500, epoch(desk)))
    desk.wait(6000)
    desk.give(inputs.VoiceStarted(7000, epoch(desk)), inputs.VoiceStopped(8500, epoch(desk)))
    assert not desk.all(events.AudioCommitted)
    assert len(desk.all(events.SpeechStarted)) == 1
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 8300))
    assert len(desk.all(events.AudioCommitted)) == 1


def test_without_turn_detection_at_mistral_silence_ends_the_turn() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.TurnEventsMissing(item_id))
    assert not desk.all(events.AudioCommitted)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)))
    assert desk.last(commands.FinishTurn).to_ms == 2000
    assert desk.all(commands.Count) == [commands.Count(Happening.TURN_EVENTS_MISSING)]


def test_that_turn_detection_is_missing_may_be_learned_after_the_silence() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)))
    desk.give(inputs.TurnEventsMissing(item_id))
    assert desk.last(commands.FinishTurn).to_ms == 2000


@pytest.mark.parametrize("eagerness", [Eagerness.HIGH, Eagerness.LOW])
def test_turn_events_that_stop_coming_do_not_keep_the_turn_open(eagerness: Eagerness) -> None:
    desk = semantic_desk(eagerness)
    begin(desk)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)))
    desk.wait(eagerness.end_timeout_ms + EVENTS_STALLED_MS - 1)
    assert not desk.all(events.AudioCommitted)
    desk.wait(1)
    assert desk.last(commands.FinishTurn).to_ms == 2000
    assert desk.all(commands.Count)[-1].happening is Happening.TURN_EVENTS_STALLED


def test_what_mistral_does_not_take_for_speech_ends_soon() -> None:
    desk = semantic_desk()
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, epoch(desk)), inputs.VoiceStopped(1100, epoch(desk)))
    desk.wait(UNNOTICED_MS)
    assert len(desk.all(events.AudioCommitted)) == 1
    assert desk.all(commands.Count)[-1].happening is Happening.TURN_UNNOTICED


def test_after_a_quiet_end_the_detector_goes_on_undisturbed() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)))
    before = len(desk.all(commands.Detect))
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 2000))
    assert len(desk.all(commands.Detect)) == before
    desk.give(inputs.VoiceStarted(2500, epoch(desk)))
    assert len(desk.all(commands.StartTurn)) == 2


@pytest.mark.parametrize("voice", ["goes on", "begins again"])
def test_voice_beyond_the_end_is_listened_to_again(voice: str) -> None:
    desk = semantic_desk()
    item_id = begin(desk, audio_ms=5000)
    if voice == "begins again":
        desk.give(inputs.VoiceStopped(2000, epoch(desk)), inputs.VoiceStarted(2600, epoch(desk)))
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 2100))
    detect = desk.last(commands.Detect)
    assert (detect.position_ms, detect.settings is None) == (2200, False)
    desk.give(inputs.VoiceStarted(2608, detect.epoch))
    assert desk.last(commands.StartTurn).from_ms == 2308
    assert len(desk.all(events.SpeechStarted)) == 2


def test_an_event_about_a_turn_that_is_over_changes_nothing() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 1000))
    begin(desk)
    assert not desk.give(inputs.TurnEvent(item_id, TurnSign.END, 1500), inputs.TurnEventsMissing(item_id))


def test_an_end_beyond_the_audio_or_before_it_is_kept_within() -> None:
    for at_ms, end_ms in ((99_000, 3000), (-5, 3000)):
        desk = semantic_desk()
        item_id = begin(desk)
        desk.give(inputs.TurnEvent(item_id, TurnSign.END, at_ms))
        assert desk.last(commands.FinishTurn).to_ms == end_ms


def test_the_client_may_commit_before_mistral_does() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.CommitAudio(), inputs.TurnEvent(item_id, TurnSign.END, 2000))
    assert len(desk.all(events.AudioCommitted)) == 1


def test_changing_to_voice_activity_in_mid_turn_lets_silence_end_it() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    patch = TurnDetectionPatch(kind=TurnDetectionKind.SERVER_VAD)
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=patch)), inputs.TurnEvent(item_id, TurnSign.END, 2000))
    assert not desk.all(events.AudioCommitted)
    desk.give(inputs.VoiceStopped(2500, epoch(desk)))
    assert len(desk.all(events.AudioCommitted)) == 1


def test_without_create_response_the_turn_gets_no_reply_by_itself() -> None:
    desk = semantic_desk(create_response=False)
    item_id = begin(desk)
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 2000), inputs.TranscriptDone(item_id, "Hello."))
    assert "ResponseCreated" not in names(desk.outputs)


def test_text_that_stops_coming_while_the_caller_speaks_is_asked_for_anew_once() -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, 1))
    item_id = desk.last(commands.StartTurn).item_id
    desk.wait(STALLED_MS - 1)
    desk.give(inputs.TranscriptDelta(item_id, "One"))
    desk.wait(STALLED_MS - 1)
    assert not desk.all(commands.RetryTurn)
    desk.wait(1)
    assert desk.all(commands.RetryTurn) == [commands.RetryTurn(item_id)]
    desk.give(inputs.TranscriptRestarted(item_id))
    desk.wait(3 * STALLED_MS)
    assert len(desk.all(commands.RetryTurn)) == 1
    assert desk.all(commands.Count) == [commands.Count(Happening.TRANSCRIPTION_STALLED)]


def test_a_pause_is_no_stall() -> None:
    desk = semantic_desk(Eagerness.LOW)
    begin(desk)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)))
    desk.wait(STALLED_MS + 1000)
    assert not desk.all(commands.RetryTurn)
    desk.give(inputs.VoiceStarted(2800, epoch(desk)))
    desk.wait(STALLED_MS)
    assert len(desk.all(commands.RetryTurn)) == 1


def test_a_committed_turn_without_a_word_is_transcribed_anew_before_it_fails() -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, 1), inputs.VoiceStopped(2000, 1))
    item_id = desk.last(commands.FinishTurn).item_id
    desk.wait(TRANSCRIPT_RETRY_MS)
    assert desk.all(commands.RetryTurn) == [commands.RetryTurn(item_id)]
    desk.give(inputs.TranscriptRestarted(item_id), inputs.TranscriptDone(item_id, "At last."))
    assert desk.last(commands.StartReply).request.messages[-1].content == "At last."


def test_the_words_of_a_turn_whose_item_the_client_has_replaced_are_told_and_change_nothing() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 1000))
    desk.give(inputs.DeleteItem(item_id), inputs.CreateItem(Message(item_id, Role.USER)))
    desk.give(inputs.TranscriptDone(item_id, "Where is it?"))
    assert desk.session._context.conversation.get(item_id) == Message(item_id, Role.USER)
    assert len(desk.all(commands.StartReply)) == 1


@pytest.mark.parametrize("at_ms", [0, SHORTEST_MS - 1])
def test_a_turn_whose_end_is_told_at_its_very_beginning_ends_where_it_was_heard_to(at_ms: int) -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    before = len(desk.all(commands.Detect))
    desk.give(inputs.VoiceStopped(2000, epoch(desk)), inputs.TurnEvent(item_id, TurnSign.END, at_ms))
    assert desk.last(commands.FinishTurn).to_ms == 2000
    assert len(desk.all(commands.Detect)) == before


def test_a_turn_whose_end_is_told_at_its_very_beginning_while_the_caller_speaks_ends_there_and_then() -> None:
    desk = semantic_desk()
    item_id = begin(desk, audio_ms=3000)
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 0))
    assert desk.last(commands.FinishTurn).to_ms == 3000
    assert desk.last(commands.Detect).position_ms == 3000, "what was heard is not heard again, to begin the same turn anew"
