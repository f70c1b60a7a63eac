"""Speech that breaks off: what has come is heard to its end, and the response then fails, once."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import ResponseStatus
from mistral_voice.gateway.session.items import ItemStatus
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy

FAULT = Fault(FaultKind.DISCONNECTED, "The speech broke off.")


def speaking(desk: Desk, *, text_ended: bool = True) -> str:
    """Begin a reply of two clauses, three seconds of the first of which have come."""
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Here is the first of two sentences. And here is the second. "))
    if text_ended:
        desk.give(inputs.ReplyFinished(response_id, "stop"))
    for _ in range(30):
        desk.give(inputs.SpeechAudio(response_id, 0, MS * 100))
    return response_id


def heard_ms(desk: Desk) -> int:
    return sum(len(delta.audio) for delta in desk.all(events.AudioDelta)) // len(MS)


@pytest.mark.parametrize("text_ended", [True, False])
def test_what_has_come_is_heard_before_the_response_fails(text_ended: bool) -> None:
    desk = Desk(a_policy(lead_ms=1000.0))
    response_id = speaking(desk, text_ended=text_ended)
    desk.give(inputs.SpeechFailed(response_id, FAULT))
    assert desk.last(commands.DropReply).response_id == response_id
    assert not desk.all(events.ResponseDone)
    desk.wait(5_000)
    assert heard_ms(desk) == 3_000
    (done,) = desk.all(events.ResponseDone)
    assert (done.response.status, done.response.fault) == (ResponseStatus.FAILED, FAULT)
    assert done.response.output[0].status is ItemStatus.INCOMPLETE


def test_nothing_more_is_taken_of_a_reply_whose_speech_failed() -> None:
    desk = Desk(a_policy(lead_ms=1000.0))
    response_id = speaking(desk, text_ended=False)
    desk.give(
        inputs.SpeechFailed(response_id, FAULT), inputs.ReplyText(response_id, "And more. "), inputs.ReplyFinished(response_id, "stop")
    )
    desk.wait(5_000)
    assert len(desk.all(commands.Speak)) == 2
    assert not desk.all(commands.FinishSpeech)
    assert len(desk.all(events.ResponseDone)) == 1


def test_a_reply_of_which_nothing_waits_to_be_heard_fails_at_once() -> None:
    desk = Desk(a_policy(lead_ms=1000.0))
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Here is the first of two sentences. And "), inputs.SpeechFailed(response_id, FAULT))
    assert desk.last(events.ResponseDone).response.fault == FAULT


def test_a_reply_can_be_cancelled_while_the_rest_of_it_is_heard() -> None:
    desk = Desk(a_policy(lead_ms=1000.0))
    response_id = speaking(desk)
    desk.give(inputs.SpeechFailed(response_id, FAULT), inputs.CancelResponse())
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.CANCELLED
    assert len(desk.all(commands.DropReply)) == 1
    desk.wait(5_000)
    assert heard_ms(desk) < 3_000
