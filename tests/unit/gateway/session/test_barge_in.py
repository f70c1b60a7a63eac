"""What happens when a voice is heard over the assistant's: real interruptions, false ones, echoes; and what was heard."""

from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Outcome
from mistral_voice.gateway.session.config import SessionPatch, TurnDetectionPatch
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from mistral_voice.gateway.session.playback import ECHO_TAIL_MS, LONGEST_HOLD_MS
from mistral_voice.gateway.session.playout import LEAD_MS
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy, message, only

FAULT = Fault(FaultKind.UNAVAILABLE, "It broke.")
STORY = ("First comes the beginning as ever.", "Then comes the middle, at length.", "Last is the end.")


class Telling(Desk):
    """The assistant tells a story at the usual pace: three sentences of two seconds each, all of it written and made at once."""

    def __init__(
        self, sentences: Sequence[str] = STORY, *, written: bool = True, options: inputs.ResponseOptions | None = None, **policy: object
    ) -> None:
        super().__init__(a_policy(lead_ms=LEAD_MS, **policy))
        self.give(inputs.CreateResponse(options or inputs.ResponseOptions()))
        self.response_id = self.last(events.ResponseCreated).response.id
        self.give(inputs.ReplyText(self.response_id, " ".join(sentences) + ("" if written else " And")))
        if written:
            self.give(inputs.ReplyFinished(self.response_id, "stop", inputs.Usage(30, 0, 20)))
        for speak in self.all(commands.Speak):
            self.give(
                inputs.SpeechAudio(self.response_id, speak.segment, MS * 2000), inputs.SpeechFinished(self.response_id, speak.segment)
            )

    @property
    def epoch(self) -> int:
        return self.last(commands.Detect).epoch

    @property
    def sent_ms(self) -> int:
        return sum(len(delta.audio) for delta in self.all(events.AudioDelta)) // len(MS)

    def voice(self) -> None:
        """The caller's voice is heard, and confirmed."""
        self.give(inputs.AppendAudio(MS * 1000), inputs.VoiceSuspected(self.epoch))
        self.wait(200)
        self.give(inputs.VoiceStarted(500, self.epoch))

    def end_of_voice(self, text: str) -> str:
        """The caller falls silent, and was understood; returns the turn's item id."""
        self.give(inputs.AppendAudio(MS * 1000))
        self.wait(800)
        self.give(inputs.VoiceStopped(1500, self.epoch))
        item_id = self.last(commands.FinishTurn).item_id
        self.give(inputs.TranscriptDone(item_id, text))
        return item_id

    def text_of(self, item_id: str) -> str:
        self.give(inputs.RetrieveItem(item_id))
        return message(self.last(events.ItemRetrieved).item).text

    @property
    def first_item(self) -> str:
        return self.all(events.OutputItemAdded)[0].item.id

    @property
    def said_again(self) -> list[str]:
        """What the newest reply speaks."""
        newest = self.last(events.ResponseCreated).response.id
        return [speak.text for speak in self.all(commands.Speak) if speak.response_id == newest]

    @property
    def outcomes(self) -> list[Outcome]:
        return [barged_in.outcome for barged_in in self.all(commands.BargedIn)]


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
