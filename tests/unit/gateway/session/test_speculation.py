"""The reply is begun before the turn is over: unseen, and used only if the words stay."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Speculated
from mistral_voice.gateway.session.config import OutputModality, SessionPatch
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.inputs import Usage
from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from mistral_voice.gateway.session.speculation import MAX_PER_TURN, MAX_SPEECH_MS, SETTLED_MS, words
from mistral_voice.mistral.stream.errors import FaultKind
from mistral_voice.mistral.stream.turn_events import TurnSign
from tests.support.session import Desk, names, only
from tests.unit.gateway.session.test_semantic import begin, epoch, semantic_desk


def eager(desk: Desk, text: str = "Where is Paris", at_ms: int = 1500, audio_ms: int = 3000) -> str:
    """Let the caller speak until the turn seems to be over, and the words settle; returns the turn's item id."""
    item_id = begin(desk, audio_ms=audio_ms)
    desk.give(inputs.TranscriptDelta(item_id, text), inputs.TurnEvent(item_id, TurnSign.EAGER_END, at_ms))
    desk.wait(SETTLED_MS)
    return item_id


def end(desk: Desk, item_id: str, text: str | None = None) -> None:
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 2000), inputs.TranscriptDone(item_id, text))


def speculation(desk: Desk) -> commands.Speculate:
    return desk.last(commands.Speculate)


def test_the_reply_that_was_begun_early_is_the_reply() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    begun = speculation(desk)
    assert begun.request.messages[-1].content == "Where is Paris"
    end(desk, item_id)
    assert desk.last(events.ResponseCreated).response.id == begun.reply_id
    assert not desk.all(commands.StartReply)
    assert desk.all(Speculated) == [Speculated(None)]
    desk.give(inputs.ReplyText(begun.reply_id, "In France, where it has always been. "))
    assert desk.last(commands.Speak).text == "In France, where it has always been."


def test_nothing_is_seen_or_spoken_before_the_turn_is_over() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    before = len(desk.outputs)
    reply_id = speculation(desk).reply_id
    desk.give(
        inputs.ReplyText(reply_id, "In France, where it has always been. "),
        inputs.ReplyText(reply_id, "And so on."),
        inputs.ReplyFinished(reply_id, "stop", Usage(30, 10, 12)),
    )
    assert desk.outputs[before:] == []
    outputs = len(desk.outputs)
    end(desk, item_id)
    assert [speak.text for speak in only(commands.Speak, desk.outputs[outputs:])] == ["In France, where it has always been.", "And so on."]
    for segment in (0, 1):
        desk.give(inputs.SpeechFinished(reply_id, segment, 5))
    done = desk.last(events.ResponseDone).response
    assert done.usage is not None
    assert done.usage.text == Usage(30, 10, 12)


def test_a_call_that_was_complete_before_the_turn_was_over_is_done_with_it() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    reply_id = speculation(desk).reply_id
    desk.give(inputs.ReplyCall(reply_id, 0, "book", "{}"), inputs.ReplyFinished(reply_id, "tool_calls", Usage(30, 0, 12)))
    end(desk, item_id)
    assert desk.last(events.ResponseDone).response.id == reply_id
    assert desk.ledger.live is None


def test_a_text_that_was_complete_before_the_turn_was_over_is_done_with_it() -> None:
    desk = semantic_desk()
    desk.give(inputs.UpdateSession(SessionPatch(output=OutputModality.TEXT)))
    item_id = eager(desk)
    reply_id = speculation(desk).reply_id
    desk.give(inputs.ReplyText(reply_id, "In France."), inputs.ReplyFinished(reply_id, "stop", Usage(30, 0, 12)))
    end(desk, item_id)
    assert desk.last(events.ResponseDone).response.id == reply_id
    desk.give(inputs.CreateResponse())
    assert desk.last(events.ResponseCreated).response.id != reply_id


@pytest.mark.parametrize("text", ["It's 5 o'clock", "its 5 oclock.", "  IT\u2019S 5, O'CLOCK?! ", "it's \uff15 o'clock"])
def test_spelling_makes_no_difference(text: str) -> None:
    assert words(text) == "its 5 oclock"


def test_a_question_mark_that_comes_later_makes_no_difference() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    desk.give(inputs.TranscriptDelta(item_id, "?"))
    end(desk, item_id)
    assert desk.all(Speculated) == [Speculated(None)]
    item = desk.session._context.conversation.get(item_id)
    assert isinstance(item, Message)
    assert item.text == "Where is Paris?"


def test_other_words_are_answered_anew_and_the_cost_is_counted() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    wasted = speculation(desk).reply_id
    desk.give(inputs.ReplyText(wasted, "x" * 40))
    desk.give(inputs.TurnEvent(item_id, TurnSign.END, 2000), inputs.TranscriptDelta(item_id, ", Texas?"))
    assert desk.last(commands.DropSpeculation).reply_id == wasted
    (dropped,) = desk.all(Speculated)
    assert dropped.wasted is not None
    assert dropped.wasted.output_tokens == 10
    assert dropped.wasted.input_tokens > 10
    desk.give(inputs.TranscriptDone(item_id))
    assert desk.last(commands.StartReply).request.messages[-1].content == "Where is Paris, Texas?"
    assert desk.last(events.ResponseCreated).response.id != wasted
    desk.give(inputs.ReplyText(wasted, "What was wasted is never said, whenever it comes."))
    assert not desk.all(commands.Speak)


def test_tokens_that_mistral_has_told_are_counted_as_told() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    desk.give(inputs.ReplyFinished(speculation(desk).reply_id, "stop", Usage(70, 0, 9)))
    desk.give(inputs.TurnEvent(item_id, TurnSign.RESUME, 1700))
    assert desk.all(Speculated) == [Speculated(Usage(70, 0, 9))]


def test_a_caller_who_goes_on_is_not_answered_early() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    desk.give(inputs.TurnEvent(item_id, TurnSign.RESUME, 1700))
    assert len(desk.all(commands.DropSpeculation)) == 1
    desk.give(inputs.TranscriptDelta(item_id, " in winter?"), inputs.TurnEvent(item_id, TurnSign.EAGER_END, 2500))
    desk.wait(SETTLED_MS)
    assert speculation(desk).request.messages[-1].content == "Where is Paris in winter?"
    end(desk, item_id)
    assert [ended.wasted is None for ended in desk.all(Speculated)] == [False, True]


def test_local_detection_of_voice_drops_it_at_once() -> None:
    desk = semantic_desk()
    eager(desk)
    desk.give(inputs.VoiceStopped(2000, epoch(desk)))
    assert not desk.all(commands.DropSpeculation)
    desk.give(inputs.VoiceStarted(2100, epoch(desk)))
    assert len(desk.all(commands.DropSpeculation)) == 1


def test_words_have_to_settle_first() -> None:
    desk = semantic_desk()
    item_id = begin(desk)
    desk.give(inputs.TranscriptDelta(item_id, "One"), inputs.TurnEvent(item_id, TurnSign.EAGER_END, 1500))
    for text in (" two", " three", " four"):
        desk.wait(SETTLED_MS - 1)
        desk.give(inputs.TranscriptDelta(item_id, text))
    assert not desk.all(commands.Speculate)
    desk.wait(SETTLED_MS)
    assert speculation(desk).request.messages[-1].content == "One two three four"


def test_there_are_only_so_many_in_a_turn() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    for _ in range(5):
        desk.give(inputs.TurnEvent(item_id, TurnSign.RESUME, 1700), inputs.TurnEvent(item_id, TurnSign.EAGER_END, 2000))
        desk.wait(SETTLED_MS)
    assert len(desk.all(commands.Speculate)) == MAX_PER_TURN


def test_the_next_turn_may_be_speculated_on_again() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    end(desk, item_id)
    reply_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(reply_id, "No words"), inputs.ReplyFinished(reply_id, "stop"), inputs.SpeechFinished(reply_id, 0))
    eager(desk, "And Rome")
    assert len(desk.all(commands.Speculate)) == 2


def test_long_speech_is_not_speculated_on() -> None:
    desk = semantic_desk()
    eager(desk, at_ms=MAX_SPEECH_MS + 1, audio_ms=15_000)
    assert not desk.all(commands.Speculate)


def test_without_words_or_without_a_reply_there_is_nothing_to_begin() -> None:
    desk = semantic_desk()
    eager(desk, " … ")
    assert not desk.all(commands.Speculate)
    desk = semantic_desk(create_response=False)
    eager(desk)
    assert not desk.all(commands.Speculate)


@pytest.mark.parametrize("change", ["item", "instructions"])
def test_what_the_reply_would_not_know_of_makes_it_useless(change: str) -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    if change == "item":
        desk.give(inputs.CreateItem(Message("", Role.SYSTEM, (Part(PartKind.INPUT_TEXT, "It is night."),))))
    else:
        desk.give(inputs.UpdateSession(SessionPatch(instructions="Be brief.")))
    end(desk, item_id)
    assert len(desk.all(commands.DropSpeculation)) == 1
    assert desk.last(commands.StartReply).request.messages[0].role == "system"
    assert any(word in desk.last(commands.StartReply).request.messages[0].content for word in ("night", "brief"))


def test_a_response_that_the_client_asks_for_is_made_for_itself() -> None:
    desk = semantic_desk()
    eager(desk)
    desk.give(inputs.CreateResponse())
    assert len(desk.all(commands.DropSpeculation)) == 1
    assert desk.last(events.ResponseCreated).response.id != speculation(desk).reply_id


@pytest.mark.parametrize("ending", ["clear", "drain"])
def test_it_ends_with_the_turn_or_the_session(ending: str) -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    if ending == "clear":
        desk.give(inputs.ClearAudio())
    else:
        desk.give(inputs.Drain())
        desk.wait(20_000)
    assert len(desk.all(commands.DropSpeculation)) == 1
    assert not desk.give(inputs.TurnEvent(item_id, TurnSign.EAGER_END, 2000))


def test_one_that_fails_is_not_repeated_before_the_turn_is_over() -> None:
    desk = semantic_desk()
    item_id = eager(desk)
    desk.give(inputs.ReplyFailed(speculation(desk).reply_id, Fault(FaultKind.RATE_LIMITED, "Too many.")))
    desk.wait(1000)
    assert len(desk.all(commands.Speculate)) == 1
    assert "ResponseDone" not in names(desk.outputs)
    end(desk, item_id)
    assert len(desk.all(commands.StartReply)) == 1
