"""What happens when a voice is heard over the assistant's: audio is withheld, the reply is cancelled, and what was heard is kept."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Outcome
from mistral_voice.gateway.session.config import SessionPatch, TurnDetectionPatch
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.items import Role
from mistral_voice.gateway.session.playback import ECHO_TAIL_MS, LONGEST_HOLD_MS
from mistral_voice.gateway.session.playout import LEAD_MS
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy, message, only
from tests.support.telling import STORY, Telling

FAULT = Fault(FaultKind.UNAVAILABLE, "It broke.")


def test_audio_is_withheld_at_the_first_voiced_frame_and_goes_on_where_it_stopped() -> None:
    desk = Telling()
    desk.wait(700)
    desk.give(inputs.VoiceSuspected(1))
    before = desk.sent_ms
    assert not only(events.AudioDelta, desk.wait(250))
    assert only(events.AudioDelta, desk.give(inputs.VoiceDismissed(1)))
    assert desk.sent_ms > before
    assert desk.outcomes == [Outcome.DISMISSED]
    assert not desk.all(events.SpeechStarted)
    desk.wait(10_000)
    assert desk.sent_ms == 6000
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.COMPLETED


def test_a_hold_is_shorter_than_the_lead_even_if_nothing_more_is_heard() -> None:
    """As when the client stops sending audio in the middle of a cough."""
    desk = Telling()
    desk.wait(700)
    desk.give(inputs.VoiceSuspected(1))
    assert not only(events.AudioDelta, desk.wait(LONGEST_HOLD_MS - 1))
    assert only(events.AudioDelta, desk.wait(1))


def test_a_hold_also_delays_the_first_audio() -> None:
    desk = Desk(a_policy(lead_ms=LEAD_MS))
    desk.give(inputs.CreateResponse(), inputs.VoiceSuspected(1))
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Here is a sentence, not a short one. And then"), inputs.SpeechAudio(response_id, 0, MS * 300))
    assert not desk.all(events.AudioDelta)
    desk.give(inputs.VoiceDismissed(1))
    assert desk.all(events.AudioDelta)


def test_without_interruptions_nothing_is_withheld() -> None:
    desk = Telling()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(interrupt_response=False))))
    desk.give(inputs.VoiceSuspected(desk.epoch))
    assert only(events.AudioDelta, desk.wait(450))


@settings(max_examples=150)
@given(st.lists(st.one_of(st.integers(1, 900), st.sampled_from(["suspected", "dismissed", "audio"])), max_size=40))
def test_withholding_never_loses_or_repeats_audio(steps: list[int | str]) -> None:
    desk = Desk(a_policy(lead_ms=LEAD_MS))
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, "Here is a sentence, not a short one."), inputs.ReplyFinished(response_id, "stop"))
    made = b""
    for number, step in enumerate([*steps, "audio"]):
        if isinstance(step, int):
            desk.wait(step)
        elif step == "audio":
            audio = number.to_bytes(2, "little") * 24 * 37 * (number % 40 + 1)
            made += audio
            desk.give(inputs.SpeechAudio(response_id, 0, audio))
        else:
            desk.give(inputs.VoiceSuspected(1) if step == "suspected" else inputs.VoiceDismissed(1))
    desk.give(inputs.SpeechFinished(response_id, 0))
    desk.wait(120_000)
    assert b"".join(delta.audio for delta in desk.all(events.AudioDelta)) == made
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.COMPLETED


def test_detection_is_told_when_the_assistant_is_heard() -> None:
    desk = Telling()
    assert [guard.guarded for guard in desk.all(commands.Guard)] == [True]
    desk.wait(6000 + ECHO_TAIL_MS - 1)
    assert len(desk.all(commands.Guard)) == 1
    desk.wait(1)
    assert [guard.guarded for guard in desk.all(commands.Guard)] == [True, False]


def test_a_confirmed_voice_cancels_the_reply_and_tells_where_it_began() -> None:
    desk = Telling()
    desk.wait(1000)
    desk.voice()
    assert desk.last(events.SpeechStarted).audio_start_ms == 200
    done = desk.last(events.ResponseDone).response
    assert (done.status, done.reason) == (ResponseStatus.CANCELLED, StopReason.TURN_DETECTED)
    desk.end_of_voice("Stop, please.")
    assert desk.outcomes == [Outcome.CONFIRMED]
    assert desk.last(commands.StartReply).request.messages[-1].content == "Stop, please."


@pytest.mark.parametrize(
    ("heard_ms", "text"), [(0, ""), (500, "First"), (1000, "First comes the"), (2700, "First comes the beginning as ever. Then comes")]
)
def test_the_context_keeps_what_was_heard_at_a_words_edge(heard_ms: float, text: str) -> None:
    desk = Telling()
    desk.wait(heard_ms)
    desk.give(inputs.VoiceStarted(500, 1))
    assert desk.text_of(desk.first_item) == text


def test_a_gap_in_the_audio_was_not_heard() -> None:
    desk = Desk(a_policy(lead_ms=LEAD_MS))
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, STORY[0] + " And"), inputs.SpeechAudio(response_id, 0, MS * 500))
    desk.wait(3000)
    desk.give(inputs.SpeechAudio(response_id, 0, MS * 1500), inputs.SpeechFinished(response_id, 0))
    desk.wait(500)
    desk.give(inputs.AppendAudio(MS * 1000), inputs.VoiceStarted(500, 1))
    desk.give(inputs.RetrieveItem(desk.last(events.OutputItemAdded).item.id))
    assert message(desk.last(events.ItemRetrieved).item).text == "First comes the"


def test_the_clients_truncation_replaces_the_estimate_also_with_more() -> None:
    desk = Telling()
    desk.wait(1000)
    desk.voice()
    assert desk.text_of(desk.first_item) == "First comes the"
    desk.give(inputs.TruncateItem(desk.first_item, 0, 1700))
    assert desk.text_of(desk.first_item) == "First comes the beginning as"
    desk.end_of_voice("Stop, please.")
    assert desk.last(commands.StartReply).request.messages[-2].content == "First comes the beginning as"


def test_a_truncation_before_the_cancellation_stays() -> None:
    desk = Telling()
    desk.wait(1000)
    desk.give(inputs.TruncateItem(desk.first_item, 0, 500), inputs.CancelResponse())
    assert desk.text_of(desk.first_item) == "First"


def test_a_reply_that_the_client_cancels_keeps_what_was_heard() -> None:
    desk = Telling()
    desk.wait(1000)
    desk.give(inputs.CancelResponse())
    assert desk.text_of(desk.first_item) == "First comes the"


def test_a_reply_whose_speech_fails_keeps_what_was_sent() -> None:
    desk = Desk(a_policy(lead_ms=LEAD_MS))
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, " ".join(STORY)), inputs.ReplyFinished(response_id, "stop"))
    desk.give(inputs.SpeechAudio(response_id, 0, MS * 2000), inputs.SpeechFinished(response_id, 0))
    desk.give(inputs.SpeechAudio(response_id, 1, MS * 700), inputs.SpeechFailed(response_id, FAULT))
    desk.wait(10_000)
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.FAILED
    desk.give(inputs.RetrieveItem(desk.last(events.OutputItemAdded).item.id))
    assert message(desk.last(events.ItemRetrieved).item).text == "First comes the beginning as ever. Then comes"


def test_the_end_of_a_reply_can_be_interrupted_after_its_last_audio_was_sent() -> None:
    desk = Telling()
    desk.wait(5200)
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.COMPLETED
    desk.voice()
    assert desk.text_of(desk.first_item).endswith("Last is the")
    desk.end_of_voice("")
    assert desk.said_again == ["Last is the end."]


def test_a_reply_that_follows_another_is_paced_after_it() -> None:
    desk = Telling()
    desk.wait(5250)
    assert desk.all(events.ResponseDone)
    desk.give(inputs.CreateResponse())
    newest = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(newest, "Here is a sentence, not a short one. And then"), inputs.SpeechAudio(newest, 0, MS * 3000))
    assert not only(events.AudioDelta, desk.give(inputs.Tick()))
    assert only(events.AudioDelta, desk.wait(400))


def test_the_interrupted_item_stays_in_its_place() -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    item_id = desk.end_of_voice("Mhm.")
    added = desk.last(events.OutputItemAdded).item.id
    previous = {event.item.id: event.previous_item_id for event in desk.all(events.ItemAdded)}
    assert (previous[item_id], previous[added]) == (desk.first_item, item_id)
    assert message(desk.last(events.OutputItemAdded).item).role is Role.ASSISTANT


def test_a_voice_over_the_end_of_a_reply_stops_it_and_the_silent_one_that_follows() -> None:
    desk = Telling()
    desk.wait(5200)
    desk.give(inputs.CreateResponse())
    newest = desk.last(events.ResponseCreated).response.id
    desk.voice()
    done = desk.last(events.ResponseDone).response
    assert (done.id, done.status) == (newest, ResponseStatus.CANCELLED)
    assert desk.text_of(desk.first_item).endswith("Last is the")
    desk.end_of_voice("Mhm.")
    assert desk.last(events.ResponseCreated).response.id != newest
