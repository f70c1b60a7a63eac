"""What a session does in a turn, step by step."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import SessionPatch, TurnDetectionPatch
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.input_audio import MOST_AWAITED_TURNS, TRANSCRIPT_DEADLINE_MS, TRANSCRIPT_QUIET_MS
from mistral_voice.gateway.session.items import ItemStatus
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy, message, names
from tests.support.speaking import reply_of, see_transcripts, spoken_turn, spoken_turn_of


def test_a_spoken_turn_has_its_events_in_the_protocols_order() -> None:
    desk = Desk()
    see_transcripts(desk)
    desk.outputs.clear()
    item_id = spoken_turn_of(desk)
    desk.give(inputs.TranscriptDelta(item_id, "Hello"), inputs.TranscriptDone(item_id, "Hello there."))
    reply_of(desk, "Good day.")
    assert names(desk.outputs) == [
        "SpeechStarted",
        "SpeechStopped",
        "AudioCommitted",
        "ItemAdded",
        "ItemDone",
        "TranscriptionDelta",
        "TranscriptionCompleted",
        "ResponseCreated",
        "OutputItemAdded",
        "ItemAdded",
        "ContentPartAdded",
        "TextDelta",
        "AudioDelta",
        "AudioDone",
        "TextDone",
        "ContentPartDone",
        "ItemDone",
        "OutputItemDone",
        "ResponseDone",
    ]
    done = desk.last(events.ResponseDone).response
    assert done.status is ResponseStatus.COMPLETED
    assert done.usage == events.ResponseUsage(inputs.Usage(30, 10, 8), 25)
    assert message(done.output[0]).text == "Good day."


def test_the_start_of_speech_includes_the_padding_and_its_end_the_silence() -> None:
    desk = Desk()
    spoken_turn(desk, 1000, 2500)
    assert desk.last(events.SpeechStarted).audio_start_ms == 700
    assert desk.last(commands.StartTurn).from_ms == 700
    assert desk.last(events.SpeechStopped).audio_end_ms == 2500
    assert desk.last(commands.FinishTurn).to_ms == 2500


def test_a_turn_never_begins_before_the_end_of_the_one_before() -> None:
    desk = Desk()
    spoken_turn(desk, 400, 2000)
    epoch = desk.last(commands.Detect).epoch
    desk.give(inputs.VoiceStarted(2100, epoch))
    assert desk.last(commands.StartTurn).from_ms == 2000


def test_the_reply_sees_the_conversation_and_the_instructions() -> None:
    desk = Desk(a_policy(instructions="Be brief."))
    desk.give(inputs.UpdateSession(SessionPatch(instructions="Speak like a pirate.", max_output_tokens=99)))
    item_id = spoken_turn(desk)
    desk.give(inputs.TranscriptDone(item_id, "Who are you?"))
    request = desk.last(commands.StartReply).request
    assert [(message.role, message.content) for message in request.messages] == [
        ("system", "Be brief.\n\nSpeak like a pirate."),
        ("user", "Who are you?"),
    ]
    assert (request.model, request.max_tokens, request.cache_key) == ("m", 99, "sess_1")


def test_the_first_clause_is_spoken_before_the_reply_is_complete() -> None:
    desk = Desk()
    item_id = spoken_turn(desk)
    desk.give(inputs.TranscriptDone(item_id, "Tell me."))
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Once upon a time there was, "))
    assert [speak.text for speak in desk.all(commands.Speak)] == ["Once upon a time there was,"]


def test_the_speech_socket_is_asked_for_when_the_turn_ends() -> None:
    desk = Desk()
    spoken_turn(desk)
    assert desk.all(commands.PrepareSpeech)
    assert not desk.all(events.ResponseCreated)


def test_an_empty_turn_gets_no_reply() -> None:
    desk = Desk()
    item_id = spoken_turn(desk)
    desk.give(inputs.TranscriptDone(item_id, "  "))
    desk.wait(10_000)
    assert not desk.all(events.ResponseCreated)


def test_a_transcript_without_an_end_is_final_when_it_has_been_quiet() -> None:
    desk = Desk()
    item_id = spoken_turn(desk)
    desk.give(inputs.TranscriptDelta(item_id, "What time"))
    desk.wait(TRANSCRIPT_QUIET_MS / 2)
    desk.give(inputs.TranscriptDelta(item_id, " is it?"))
    assert not desk.wait(TRANSCRIPT_QUIET_MS - 1)
    desk.wait(1)
    assert desk.last(commands.DropTurn).item_id == item_id
    assert desk.last(commands.StartReply).request.messages[-1].content == "What time is it?"


def test_a_transcript_that_never_comes_fails_the_turn_and_its_reply() -> None:
    desk = Desk()
    see_transcripts(desk)
    spoken_turn(desk)
    desk.wait(TRANSCRIPT_DEADLINE_MS)
    assert desk.last(events.TranscriptionFailed).fault.kind is FaultKind.TIMED_OUT
    done = desk.last(events.ResponseDone).response
    assert done.status is ResponseStatus.FAILED
    assert done.fault is not None


def test_transcripts_are_shown_only_to_who_asked_for_them() -> None:
    desk = Desk()
    item_id = spoken_turn(desk)
    desk.give(inputs.TranscriptDelta(item_id, "Hi"), inputs.TranscriptDone(item_id, "Hi."))
    assert not desk.all(events.TranscriptionDelta)
    assert not desk.all(events.TranscriptionCompleted)
    assert desk.all(events.ResponseCreated)


def test_what_was_transcribed_while_speaking_is_shown_after_the_commit() -> None:
    desk = Desk()
    see_transcripts(desk)
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, 1))
    item_id = desk.last(commands.StartTurn).item_id
    assert not desk.give(inputs.TranscriptDelta(item_id, "What is"))
    desk.give(inputs.VoiceStopped(2000, 1))
    assert desk.last(events.TranscriptionDelta).delta == "What is"


def test_a_restarted_transcript_replaces_what_was_there() -> None:
    desk = Desk()
    item_id = spoken_turn(desk)
    desk.give(inputs.TranscriptDelta(item_id, "Wha"), inputs.TranscriptRestarted(item_id), inputs.TranscriptDelta(item_id, "What?"))
    desk.give(inputs.TranscriptDone(item_id))
    assert desk.last(commands.StartReply).request.messages[-1].content == "What?"


def test_speech_during_a_reply_cancels_it() -> None:
    desk = Desk()
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "Tell me a story."))
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Once upon a time there was a king. "))
    desk.give(inputs.SpeechAudio(response_id, 0, MS * 400))
    desk.give(inputs.VoiceStarted(2200, 1))
    done = desk.last(events.ResponseDone).response
    assert (done.status, done.reason) == (ResponseStatus.CANCELLED, StopReason.TURN_DETECTED)
    assert done.output[0].status is ItemStatus.INCOMPLETE
    assert desk.last(commands.DropReply).response_id == response_id
    assert not desk.give(inputs.SpeechAudio(response_id, 0, MS * 400), inputs.SpeechFinished(response_id, 0))


def test_without_interrupt_response_the_reply_goes_on_and_the_next_follows() -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(interrupt_response=False))))
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "One."))
    second = spoken_turn(desk, 2500, 3500)
    desk.give(inputs.TranscriptDone(second, "Two."))
    assert len(desk.all(events.ResponseCreated)) == 1
    reply_of(desk)
    assert len(desk.all(events.ResponseCreated)) == 2
    assert desk.last(commands.StartReply).request.messages[-1].content == "Two."


def test_a_caller_who_goes_on_speaking_gets_one_reply_to_all_of_it() -> None:
    desk = Desk()
    first = spoken_turn(desk, 400, 2000)
    desk.give(inputs.VoiceStarted(2300, 1))
    desk.give(inputs.TranscriptDone(first, "I want"))
    assert not desk.all(events.ResponseCreated)
    desk.give(inputs.AppendAudio(MS * 2000), inputs.VoiceStopped(3500, 1))
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, "a pizza."))
    assert len(desk.all(events.ResponseCreated)) == 1
    assert desk.last(commands.StartReply).request.messages[-1].content == "I want\na pizza."


def test_a_reply_still_comes_if_the_second_turn_was_only_noise() -> None:
    desk = Desk()
    first = spoken_turn(desk, 400, 2000)
    desk.give(inputs.VoiceStarted(2300, 1), inputs.TranscriptDone(first, "I want a pizza."), inputs.VoiceStopped(3000, 1))
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, ""))
    assert desk.last(commands.StartReply).request.messages[-1].content == "I want a pizza."


def test_create_response_false_leaves_the_reply_to_the_client() -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(create_response=False))))
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "Hello."))
    assert not desk.all(events.ResponseCreated)
    desk.give(inputs.CreateResponse())
    assert desk.all(commands.StartReply)


def test_a_detected_turn_beyond_those_that_may_be_awaited_gives_the_oldest_up() -> None:
    desk = Desk()
    see_transcripts(desk)
    turns = [spoken_turn(desk, 2100 * number, 2100 * number + 2000) for number in range(MOST_AWAITED_TURNS + 1)]
    assert [failed.item_id for failed in desk.all(events.TranscriptionFailed)] == turns[:1]
    assert desk.all(commands.DropTurn) == [commands.DropTurn(turns[0])]
    assert desk.all(commands.Count) == [commands.Count(commands.Happening.TURNS_LIMITED)]


@pytest.mark.parametrize("changes", [(TurnDetectionPatch(threshold=0.7),), (None, TurnDetectionPatch(threshold=0.7))])
def test_a_turn_that_is_being_spoken_is_ended_by_the_new_detector(changes: tuple[TurnDetectionPatch | None, ...]) -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 900), inputs.VoiceStarted(0, 1))
    desk.give(*(inputs.UpdateSession(SessionPatch(turn_detection=change)) for change in changes))
    detect = desk.last(commands.Detect)
    assert detect.speaking
    desk.give(inputs.AppendAudio(MS * 500), inputs.VoiceStopped(1400, detect.epoch))
    assert len(desk.all(events.SpeechStarted)) == len(desk.all(events.SpeechStopped)) == len(desk.all(events.AudioCommitted)) == 1


def test_a_new_detector_that_begins_in_silence_waits_for_speech() -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 900), inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(threshold=0.7))))
    assert not desk.last(commands.Detect).speaking
