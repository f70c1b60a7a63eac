"""What only seemed to be an interruption: nothing, a sign of listening, the assistant's own echo. The reply is resumed."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Outcome
from mistral_voice.gateway.session.config import SessionPatch, TurnDetectionPatch
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from mistral_voice.gateway.session.playback import ECHO_TAIL_MS
from mistral_voice.gateway.session.playout import LEAD_MS
from tests.support.session import MS, Desk, a_policy, message
from tests.support.telling import STORY, Telling


@pytest.mark.parametrize("text", ["", "Mhm."])
def test_after_a_false_interruption_a_new_reply_resumes_from_the_clause_that_was_broken(text: str) -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    desk.end_of_voice(text)
    assert len(desk.all(events.ResponseCreated)) == 2
    assert desk.outcomes == [Outcome.RESUMED]
    assert desk.said_again == ["Then comes the middle, at length.", "Last is the end."]
    assert desk.text_of(desk.first_item) == "First comes the beginning as ever."
    assert len(desk.all(commands.StartReply)) == 1, "the model was asked again"
    newest = desk.last(events.ResponseCreated).response.id
    for segment in range(2):
        desk.give(inputs.SpeechAudio(newest, segment, MS * 1500), inputs.SpeechFinished(newest, segment))
    desk.wait(5000)
    done = desk.last(events.ResponseDone).response
    assert (done.id, done.status) == (newest, ResponseStatus.COMPLETED)
    assert message(done.output[0]).text == "Then comes the middle, at length. Last is the end."


def test_the_resumed_reply_begins_within_the_sentence_where_it_can() -> None:
    desk = Telling()
    desk.wait(3300)
    desk.voice()
    desk.end_of_voice("")
    assert desk.said_again == ["at length.", "Last is the end."]


def test_the_clients_truncation_tells_where_to_resume() -> None:
    desk = Telling()
    desk.wait(3300)
    desk.voice()
    desk.give(inputs.TruncateItem(desk.first_item, 0, 1500))
    desk.end_of_voice("")
    assert desk.said_again == list(STORY)


def test_the_model_goes_on_where_it_had_not_finished() -> None:
    desk = Telling(written=False)
    desk.wait(2800)
    desk.voice()
    desk.end_of_voice("")
    request = desk.last(commands.StartReply)
    newest = desk.last(events.ResponseCreated).response.id
    assert request.response_id == newest
    said = "\n".join(part.content for part in request.request.messages if part.role == "assistant")
    assert said.split() == " ".join(STORY).split()
    desk.give(inputs.ReplyText(newest, "And they lived happily. "), inputs.ReplyFinished(newest, "stop"))
    assert desk.said_again == ["Then comes the middle, at length.", "Last is the end.", "And they lived happily."]


@pytest.mark.parametrize("times", [1, 2])
def test_a_reply_with_input_of_its_own_goes_on_after_what_it_has_written(times: int) -> None:
    """Else the model, which doesn't read the conversation for it, writes the same again."""
    own = Message("", Role.USER, (Part(PartKind.INPUT_TEXT, "Tell a story."),))
    desk = Telling(written=False, options=inputs.ResponseOptions(input=(own,)))
    for _ in range(times):
        desk.wait(2800)
        desk.voice()
        desk.end_of_voice("")
        newest = desk.last(events.ResponseCreated).response.id
        for segment, _ in enumerate(desk.said_again):
            desk.give(inputs.SpeechAudio(newest, segment, MS * 2000), inputs.SpeechFinished(newest, segment))
    messages = desk.last(commands.StartReply).request.messages
    said = "\n".join(part.content for part in messages if part.role == "assistant")
    assert len(desk.all(commands.StartReply)) == times + 1
    assert messages[1].content == "Tell a story."
    assert said.split() == " ".join(STORY).split()


def test_a_reply_without_words_yet_is_asked_for_again() -> None:
    """A cough while the caller waits must not leave the question unanswered."""
    desk = Desk(a_policy(lead_ms=LEAD_MS))
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, 1), inputs.VoiceStopped(2000, 1))
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, "Who are you?"))
    desk.give(inputs.VoiceStarted(2500, 1))
    assert desk.last(events.ResponseDone).response.reason is StopReason.TURN_DETECTED
    desk.give(inputs.AppendAudio(MS * 1000), inputs.VoiceStopped(3400, 1))
    desk.give(inputs.TranscriptDone(desk.last(commands.FinishTurn).item_id, ""))
    assert [request.request.messages[-1].content for request in desk.all(commands.StartReply)] == ["Who are you?"] * 2


def test_with_the_policy_off_a_false_interruption_is_the_end_of_the_reply() -> None:
    desk = Telling(resume_after_false_interruption=False)
    desk.wait(2800)
    desk.voice()
    desk.end_of_voice("")
    assert len(desk.all(events.ResponseCreated)) == 1
    other = Telling(resume_after_false_interruption=False)
    other.wait(2800)
    other.voice()
    other.end_of_voice("Mhm.")
    assert other.last(commands.StartReply).request.messages[-1].content == "Mhm."


def test_a_short_word_answers_a_question() -> None:
    desk = Telling(("I can book a table for you.", "Shall I do that for you now?", "It is no trouble at all."))
    desk.wait(3500)
    desk.voice()
    desk.end_of_voice("Yeah.")
    assert desk.last(commands.StartReply).request.messages[-1].content == "Yeah."


def test_a_short_word_after_the_end_is_a_turn() -> None:
    desk = Telling()
    desk.wait(5900)
    desk.voice()
    desk.end_of_voice("OK.")
    assert desk.last(commands.StartReply).request.messages[-1].content == "OK."
    assert Outcome.RESUMED not in desk.outcomes


@pytest.mark.parametrize("text", ["Then comes the middle, at length.", "comes the middle", "comes the middle at"])
def test_an_echo_is_dropped_and_the_reply_resumes(text: str) -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    item_id = desk.end_of_voice(text)
    assert desk.outcomes == [Outcome.ECHO]
    assert desk.said_again[-1] == "Last is the end."
    assert desk.text_of(item_id) == ""


def test_the_same_words_after_the_echo_has_died_away_are_the_callers() -> None:
    desk = Telling()
    desk.wait(6000 + ECHO_TAIL_MS)
    desk.voice()
    desk.end_of_voice("Then comes the middle, at length.")
    assert desk.last(commands.StartReply).request.messages[-1].content == "Then comes the middle, at length."


@pytest.mark.parametrize("text", ["First comes the beginning", "the beginning as ever then comes the middle", "Last is the end."])
def test_words_that_the_assistant_did_not_say_at_that_moment_are_the_callers(text: str) -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    desk.end_of_voice(text)
    assert desk.outcomes == [Outcome.CONFIRMED]
    assert desk.last(commands.StartReply).request.messages[-1].content == text


@pytest.mark.parametrize(
    ("sentences", "waits_ms", "answer"),
    [
        (("Would you like a table for two or a table for four?",), 1200, "A table for two."),
        (("Let me see.", "Is it a table for two or four?", "We have both."), 3800, "A table for two."),
        (("We have a table for two or a table for four.",), 2000, "A table for two."),
        (("Say yes to go on.", "Otherwise I shall end the call."), 2500, "Yes."),
    ],
)
def test_an_answer_in_the_assistants_own_words_is_an_answer(sentences: tuple[str, ...], waits_ms: int, answer: str) -> None:
    desk = Telling(sentences)
    desk.wait(waits_ms)
    desk.voice()
    item_id = desk.end_of_voice(answer)
    assert desk.last(commands.StartReply).request.messages[-1].content == answer
    assert desk.text_of(item_id) == answer


def test_two_false_interruptions_in_a_row_resume_once() -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    desk.give(inputs.AppendAudio(MS * 1000), inputs.VoiceStopped(1500, 1))
    first = desk.last(commands.FinishTurn).item_id
    desk.give(inputs.VoiceStarted(1900, 1), inputs.TranscriptDone(first, ""))
    assert len(desk.all(events.ResponseCreated)) == 1
    desk.end_of_voice("Mhm.")
    assert len(desk.all(events.ResponseCreated)) == 2
    assert desk.outcomes == [Outcome.RESUMED]


def test_words_after_a_false_interruption_count() -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    desk.give(inputs.AppendAudio(MS * 1000), inputs.VoiceStopped(1500, 1))
    first = desk.last(commands.FinishTurn).item_id
    desk.give(inputs.VoiceStarted(1900, 1), inputs.TranscriptDone(first, ""))
    desk.end_of_voice("Who was clever?")
    assert len(desk.all(events.ResponseCreated)) == 2
    assert desk.last(commands.StartReply).request.messages[-1].content == "Who was clever?"


def test_a_client_that_asks_for_a_reply_itself_ends_the_matter() -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    desk.give(inputs.CreateResponse())
    assert desk.outcomes == [Outcome.CONFIRMED]
    desk.end_of_voice("")
    assert len(desk.all(events.ResponseCreated)) == 2


def test_a_client_that_takes_the_audio_back_leads_from_there() -> None:
    desk = Telling()
    desk.wait(2800)
    desk.voice()
    desk.give(inputs.ClearAudio())
    desk.wait(5000)
    assert len(desk.all(events.ResponseCreated)) == 1


def test_without_interruptions_a_backchannel_and_an_echo_get_no_reply() -> None:
    for text in ("Mhm.", "comes the middle"):
        desk = Telling()
        desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(interrupt_response=False))))
        desk.wait(2800)
        desk.voice()
        desk.end_of_voice(text)
        desk.wait(10_000)
        assert [done.response.status for done in desk.all(events.ResponseDone)] == [ResponseStatus.COMPLETED]
