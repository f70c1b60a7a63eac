"""What a session does in a turn, step by step."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Stage
from mistral_voice.gateway.session.config import OutputModality, SessionPatch, TranscriptionPatch, TurnDetectionPatch
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.input_audio import MOST_AWAITED_TURNS, TRANSCRIPT_DEADLINE_MS, TRANSCRIPT_QUIET_MS
from mistral_voice.gateway.session.items import ItemStatus, Message, Part, PartKind, Role
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy, message, names, only

FAULT = Fault(FaultKind.UNAVAILABLE, "Mistral is not available at the moment (503).")


def spoken_turn(desk: Desk, start_ms: int = 400, end_ms: int = 2000) -> str:
    """Let the caller speak once; returns the turn's item id."""
    epoch = desk.last(commands.Detect).epoch
    desk.give(inputs.AppendAudio(MS * (end_ms + 100)), inputs.VoiceStarted(start_ms, epoch), inputs.VoiceStopped(end_ms, epoch))
    return desk.last(commands.FinishTurn).item_id


def reply_of(desk: Desk, text: str = "A long enough first clause, and more.", finish: str = "stop") -> str:
    """Let the live reply be written and spoken; returns its id."""
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, text), inputs.ReplyFinished(response_id, finish, inputs.Usage(30, 10, 8)))
    for speak in desk.all(commands.Speak):
        if speak.response_id == response_id:
            desk.give(inputs.SpeechAudio(response_id, speak.segment, MS * 500), inputs.SpeechFinished(response_id, speak.segment, 25))
    return response_id


def see_transcripts(desk: Desk) -> None:
    desk.give(inputs.UpdateSession(SessionPatch(transcription=TranscriptionPatch())))


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


def spoken_turn_of(desk: Desk) -> str:
    epoch = 1
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, epoch), inputs.VoiceStopped(2000, epoch))
    return desk.last(commands.FinishTurn).item_id


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


def test_a_second_reply_is_refused_while_one_is_live() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse(), inputs.CreateResponse(event_id="again"))
    error = desk.last(events.ErrorOccurred)
    assert (error.code, error.client_event_id) == ("conversation_already_has_active_response", "again")


def test_a_cancelled_reply_is_done_once() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse(), inputs.CancelResponse(), inputs.CancelResponse())
    assert [done.response.reason for done in desk.all(events.ResponseDone)] == [StopReason.CLIENT_CANCELLED]
    assert desk.last(events.ErrorOccurred).code == "response_cancel_not_active"


def test_a_text_reply_needs_no_speech() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse(inputs.ResponseOptions(output=OutputModality.TEXT, metadata={"a": "b"})))
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "**Bold** "), inputs.ReplyText(response_id, "words"), inputs.ReplyFinished(response_id, "stop"))
    assert [delta.delta for delta in desk.all(events.TextDelta)] == ["**Bold** ", "words"]
    assert not desk.all(commands.PrepareSpeech)
    done = desk.last(events.ResponseDone).response
    assert message(done.output[0]).parts == (Part(PartKind.OUTPUT_TEXT, "**Bold** words"),)
    assert done.metadata == {"a": "b"}


def test_markdown_and_pictograms_are_not_spoken() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse())
    reply_of(desk, "**Paris** is the capital of `France` 🇫🇷. 🎉")
    assert [speak.text for speak in desk.all(commands.Speak)] == ["Paris is the capital of France ."] or [
        speak.text for speak in desk.all(commands.Speak)
    ] == ["Paris is the capital of France."]


def test_a_reply_cut_by_its_limit_is_incomplete() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse())
    reply_of(desk, "It goes on and on and", finish="length")
    done = desk.last(events.ResponseDone).response
    assert (done.status, done.reason) == (ResponseStatus.INCOMPLETE, StopReason.MAX_OUTPUT_TOKENS)


def test_a_reply_that_breaks_off_keeps_what_was_said() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "The first sentence is here. The sec"), inputs.ReplyFailed(response_id, FAULT))
    assert not desk.all(events.ResponseDone)
    desk.give(inputs.SpeechAudio(response_id, 0, MS * 500), inputs.SpeechFinished(response_id, 0))
    done = desk.last(events.ResponseDone).response
    assert (done.status, done.fault) == (ResponseStatus.FAILED, FAULT)
    assert message(done.output[0]).text == "The first sentence is here."
    desk.give(inputs.CreateResponse())
    assert [message.content for message in desk.last(commands.StartReply).request.messages][2] == "The first sentence is here."


def test_a_reply_without_words_is_complete_and_empty() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyFinished(response_id, "stop"))
    done = desk.last(events.ResponseDone).response
    assert (done.status, done.output) == (ResponseStatus.COMPLETED, ())


def test_the_latency_of_each_stage_is_measured() -> None:
    desk = Desk()
    item_id = spoken_turn(desk)
    desk.now_ms += 120
    desk.give(inputs.TranscriptDone(item_id, "Hi."))
    desk.now_ms += 200
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Hello to you, my dear friend. "))
    desk.now_ms += 80
    desk.give(inputs.SpeechAudio(response_id, 0, MS * 10))
    measured = {measure.stage: measure.milliseconds for measure in desk.all(commands.Measured)}
    assert measured == {Stage.TRANSCRIPT: 120, Stage.FIRST_TOKEN: 200, Stage.FIRST_AUDIO: 80, Stage.TOTAL: 400}


def test_a_truncated_item_keeps_only_what_was_heard() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse())
    reply_of(desk, "The capital of France is Paris. It is a very large city indeed.")
    item_id = desk.last(events.OutputItemAdded).item.id
    desk.give(inputs.TruncateItem(item_id, 0, 750))
    assert desk.last(events.ItemTruncated).audio_end_ms == 750
    desk.give(inputs.RetrieveItem(item_id))
    assert message(desk.last(events.ItemRetrieved).item).text == "The capital of France is Paris. It is a very"


@pytest.mark.parametrize(("end_ms", "accepted"), [(0, True), (500, True), (600, True), (601, False), (-1, False)])
def test_a_truncation_may_overshoot_a_little(end_ms: int, accepted: bool) -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse())
    reply_of(desk, "Paris.")
    desk.give(inputs.TruncateItem(desk.last(events.OutputItemAdded).item.id, 0, end_ms))
    assert bool(desk.all(events.ItemTruncated)) is accepted


def test_items_are_inserted_where_the_client_says() -> None:
    desk = Desk()
    for item_id, after in (("b", None), ("a", "root"), ("c", "b")):
        desk.give(inputs.CreateItem(Message(item_id, Role.USER, (Part(PartKind.INPUT_TEXT, item_id),)), after))
    desk.give(inputs.CreateResponse())
    assert desk.last(commands.StartReply).request.messages[-1].content == "a\nb\nc"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (inputs.RetrieveItem("nobody"), "item_retrieve_invalid_item_id"),
        (inputs.DeleteItem("nobody"), "item_delete_invalid_item_id"),
        (inputs.TruncateItem("nobody", 0, 0), "item_truncate_invalid_item_id"),
        (inputs.CreateItem(Message("x", Role.USER), "nobody"), "item_create_invalid_previous_item_id"),
    ],
)
def test_an_unknown_item_is_refused_with_the_code_that_clients_know(event: inputs.Input, code: str) -> None:
    assert only(events.ErrorOccurred, Desk().give(event))[0].code == code


def test_a_client_can_not_commit_while_too_many_transcripts_are_awaited() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    for _ in range(MOST_AWAITED_TURNS + 3):
        desk.give(inputs.AppendAudio(MS * 100), inputs.CommitAudio())
    assert [error.code for error in desk.all(events.ErrorOccurred)] == ["rate_limit_exceeded"] * 3
    assert len(desk.all(commands.StartTurn)) == MOST_AWAITED_TURNS + 1
    assert desk.all(commands.Count) == [commands.Count(commands.Happening.TURNS_LIMITED)] * 3
    desk.give(inputs.TranscriptDone(desk.all(commands.StartTurn)[0].item_id, "One."), inputs.CommitAudio())
    assert len(desk.all(events.AudioCommitted)) == MOST_AWAITED_TURNS + 1


def test_a_detected_turn_beyond_those_that_may_be_awaited_gives_the_oldest_up() -> None:
    desk = Desk()
    see_transcripts(desk)
    turns = [spoken_turn(desk, 2100 * number, 2100 * number + 2000) for number in range(MOST_AWAITED_TURNS + 1)]
    assert [failed.item_id for failed in desk.all(events.TranscriptionFailed)] == turns[:1]
    assert desk.all(commands.DropTurn) == [commands.DropTurn(turns[0])]
    assert desk.all(commands.Count) == [commands.Count(commands.Happening.TURNS_LIMITED)]


def test_a_doubled_item_is_refused() -> None:
    desk = Desk()
    desk.give(inputs.CreateItem(Message("x", Role.USER)), inputs.CreateItem(Message("x", Role.USER)))
    assert desk.last(events.ErrorOccurred).code == "item_create_duplicate_item_id"


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
