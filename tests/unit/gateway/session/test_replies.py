"""One reply at a time: how it is spoken, how it ends, and how long it takes."""

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Stage
from mistral_voice.gateway.session.config import OutputModality
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.items import Part, PartKind
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, message
from tests.support.speaking import reply_of, spoken_turn

FAULT = Fault(FaultKind.UNAVAILABLE, "Mistral is not available at the moment (503).")


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
