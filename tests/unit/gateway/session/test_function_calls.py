"""Function calls in a session, step by step."""

from typing import Any

import msgspec
import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import OutputModality, SessionPatch
from mistral_voice.gateway.session.events import ResponseStatus
from mistral_voice.gateway.session.inputs import ResponseOptions
from mistral_voice.gateway.session.items import FunctionCall, FunctionOutput, Item, ItemStatus
from mistral_voice.gateway.session.messages import STILL_RUNNING
from mistral_voice.gateway.session.reply_plan import MAX_CALL_ROUNDS
from mistral_voice.mistral.stream.chat_request import ChatTool, ChatTools, OneTool, ToolMode
from tests.support.session import MS, Desk, names
from tests.support.speaking import spoken_turn

WEATHER = ChatTool("weather", "How the weather is.", msgspec.Raw(b'{"type":"object"}'))
CLOCK = ChatTool("clock", "", msgspec.Raw(b'{"type":"object"}'))


def offering(*tools: ChatTool, **patch: Any) -> Desk:
    """A session with tools, in which the caller has asked something."""
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(tools=tools, **patch)))
    desk.give(inputs.TranscriptDone(spoken_turn(desk), "How is the weather?"))
    return desk


def live(desk: Desk) -> str:
    name = desk.ledger.live
    assert name is not None
    return name


def calls_of(desk: Desk) -> list[FunctionCall]:
    return [event.item for event in desk.all(events.OutputItemDone) if isinstance(event.item, FunctionCall)]


def call_with_words(desk: Desk) -> tuple[str, FunctionCall]:
    """Let the live reply call a function, with words before it that are yet to be spoken; returns its id and the call."""
    reply = live(desk)
    desk.give(inputs.ReplyText(reply, "Let me see. "), inputs.ReplyCall(reply, 0, "weather", "{}"))
    desk.give(inputs.ReplyFinished(reply, "tool_calls"))
    return reply, calls_of(desk)[-1]


def result_of(call: FunctionCall, output: str = "sunny") -> inputs.CreateItem:
    return inputs.CreateItem(FunctionOutput("", call.call_id, output))


def test_a_call_streams_its_arguments_and_becomes_an_item() -> None:
    desk = offering(WEATHER)
    desk.outputs.clear()
    reply = live(desk)
    desk.give(inputs.ReplyCall(reply, 0, "weather", '{"city": '), inputs.ReplyCall(reply, 0, "", '"Paris"}'))
    desk.give(inputs.ReplyFinished(reply, "tool_calls", inputs.Usage(9, 0, 7)))
    assert names(desk.outputs) == [
        "OutputItemAdded",
        "ItemAdded",
        "ArgumentsDelta",
        "ArgumentsDelta",
        "ArgumentsDone",
        "ItemDone",
        "OutputItemDone",
        "ResponseDone",
    ]
    (call,) = calls_of(desk)
    assert (call.name, call.arguments, call.status) == ("weather", '{"city": "Paris"}', ItemStatus.COMPLETED)
    done = desk.last(events.ResponseDone).response
    assert (done.status, done.output, done.usage) == (ResponseStatus.COMPLETED, (call,), events.ResponseUsage(inputs.Usage(9, 0, 7)))


def test_what_is_said_before_a_call_is_spoken_at_once_and_the_calls_do_not_wait_for_it() -> None:
    desk = offering(WEATHER, CLOCK)
    reply = live(desk)
    desk.give(inputs.ReplyText(reply, "Let me see"))
    assert not desk.all(commands.Speak)
    desk.give(inputs.ReplyCall(reply, 0, "weather", "{}"), inputs.ReplyCall(reply, 1, "clock", ""))
    assert [speak.text for speak in desk.all(commands.Speak)] == ["Let me see"]
    desk.give(inputs.ReplyFinished(reply, "tool_calls"))
    assert [(call.name, call.arguments) for call in calls_of(desk)] == [("weather", "{}"), ("clock", "{}")]
    assert not desk.all(events.ResponseDone), "the words are still to be spoken"
    desk.give(inputs.SpeechAudio(reply, 0, MS * 300), inputs.SpeechFinished(reply, 0))
    output = desk.last(events.ResponseDone).response.output
    assert [type(item).__name__ for item in output] == ["Message", "FunctionCall", "FunctionCall"]
    assert [event.output_index for event in desk.all(events.OutputItemAdded)] == [0, 1, 2]
    request = again(desk)
    assert [(message.role, len(message.calls)) for message in request.messages][-3:] == [("assistant", 2), ("tool", 0), ("tool", 0)]


def again(desk: Desk) -> Any:
    desk.give(inputs.CreateResponse())
    return desk.last(commands.StartReply).request


def test_a_result_is_read_by_the_next_reply() -> None:
    desk = offering(WEATHER)
    desk.give(inputs.ReplyCall(live(desk), 0, "weather", '{"city": "Paris"}'), inputs.ReplyFinished(live(desk), "tool_calls"))
    desk.give(result_of(calls_of(desk)[0]))
    messages = again(desk).messages
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool"]
    assert (messages[-1].content, messages[-1].call_id) == ("sunny", messages[-2].calls[0].id)
    assert len(messages[-1].call_id) == 9


def test_a_request_with_a_result_that_the_live_reply_does_not_know_waits_for_its_end() -> None:
    desk = offering(WEATHER)
    reply, call = call_with_words(desk)
    desk.give(result_of(call), inputs.CreateResponse(), inputs.CreateResponse(event_id="second"))
    assert [(error.code, error.client_event_id) for error in desk.all(events.ErrorOccurred)] == [
        ("conversation_already_has_active_response", "second")
    ]
    desk.give(inputs.SpeechAudio(reply, 0, MS * 300), inputs.SpeechFinished(reply, 0))
    assert names(desk.outputs)[-2:] == ["ResponseDone", "ResponseCreated"]
    assert desk.last(commands.StartReply).request.messages[-1].content == "sunny"


def test_a_waiting_request_and_an_interruption_give_one_reply() -> None:
    desk = offering(WEATHER)
    _, call = call_with_words(desk)
    desk.give(result_of(call), inputs.CreateResponse())
    turn = spoken_turn(desk, 4000, 5000)
    assert len(desk.all(events.ResponseCreated)) == 1, "not while the caller's words are awaited"
    desk.give(inputs.TranscriptDone(turn, "And tomorrow?"))
    assert len(desk.all(events.ResponseCreated)) == 2
    assert desk.last(commands.StartReply).request.messages[-1].content == "And tomorrow?"


def test_a_cancel_by_the_client_takes_a_waiting_request_with_it() -> None:
    desk = offering(WEATHER)
    _, call = call_with_words(desk)
    desk.give(result_of(call), inputs.CreateResponse(), inputs.CancelResponse())
    assert desk.ledger.live is None


def test_a_caller_who_interrupts_a_call_leaves_it_incomplete_and_is_answered() -> None:
    desk = offering(WEATHER)
    desk.give(inputs.ReplyCall(live(desk), 0, "weather", '{"ci'))
    turn = spoken_turn(desk, 4000, 5000)
    assert [call.status for call in calls_of(desk)] == [ItemStatus.INCOMPLETE]
    desk.give(inputs.TranscriptDone(turn, "Never mind."))
    request = desk.last(commands.StartReply).request
    assert [message.role for message in request.messages][1:] == ["user", "assistant", "tool", "assistant", "user"]


def test_a_caller_who_speaks_while_a_function_runs_is_answered_without_its_result() -> None:
    desk = offering(WEATHER)
    desk.give(inputs.ReplyCall(live(desk), 0, "weather", "{}"), inputs.ReplyFinished(live(desk), "tool_calls"))
    desk.give(inputs.TranscriptDone(spoken_turn(desk, 4000, 5000), "Are you there?"))
    assert [message.content for message in desk.last(commands.StartReply).request.messages if message.role == "tool"] == [STILL_RUNNING]


@pytest.mark.parametrize("finish", ["length", "error"])
def test_a_reply_that_is_cut_off_leaves_its_last_call_incomplete(finish: str) -> None:
    desk = offering(WEATHER, CLOCK)
    reply = live(desk)
    desk.give(inputs.ReplyCall(reply, 0, "weather", "{}"), inputs.ReplyCall(reply, 1, "clock", '{"zo'))
    desk.give(inputs.ReplyFinished(reply, finish))
    assert [call.status for call in calls_of(desk)] == [ItemStatus.COMPLETED, ItemStatus.INCOMPLETE]


def test_tools_and_their_choice_are_the_sessions_unless_the_response_brings_its_own() -> None:
    desk = offering(WEATHER, tool_choice=OneTool("weather"), parallel_tool_calls=False)
    assert desk.last(commands.StartReply).request.tools == ChatTools((WEATHER,), OneTool("weather"), parallel=False)
    desk.give(inputs.CancelResponse())
    desk.give(inputs.CreateResponse(ResponseOptions(tools=(CLOCK,), parallel_tool_calls=True)))
    assert desk.last(commands.StartReply).request.tools == ChatTools((CLOCK,), ToolMode.AUTO, parallel=True)
    desk.give(inputs.CancelResponse())
    desk.give(inputs.CreateResponse(ResponseOptions(tools=(), tool_choice=ToolMode.NONE)))
    assert desk.last(commands.StartReply).request.tools.tools == ()


def test_a_tool_that_is_not_offered_can_not_be_chosen() -> None:
    desk = offering(WEATHER)
    desk.give(inputs.CancelResponse())
    desk.give(inputs.CreateResponse(ResponseOptions(tool_choice=OneTool("clock"))))
    assert desk.last(events.ErrorOccurred).param == "response.tool_choice"
    desk.give(inputs.UpdateSession(SessionPatch(tool_choice=OneTool("clock"))))
    assert desk.last(events.ErrorOccurred).param == "session.tool_choice"
    assert desk.ledger.live is None


def test_a_loop_of_calls_has_an_end() -> None:
    desk = offering(WEATHER)
    for _ in range(MAX_CALL_ROUNDS):
        assert desk.last(commands.StartReply).request.tools.choice is ToolMode.AUTO
        desk.give(inputs.ReplyCall(live(desk), 0, "weather", "{}"), inputs.ReplyFinished(live(desk), "tool_calls"))
        desk.give(result_of(calls_of(desk)[-1]), inputs.CreateResponse())
    assert desk.last(commands.StartReply).request.tools == ChatTools((WEATHER,), ToolMode.NONE)
    assert desk.all(commands.Count) == [commands.Count(commands.Happening.CALL_ROUNDS_LIMITED)]
    desk.give(inputs.CancelResponse())
    desk.give(inputs.TranscriptDone(spoken_turn(desk, 4000, 5000), "And now?"))
    assert desk.last(commands.StartReply).request.tools.choice is ToolMode.AUTO


def test_a_client_may_bring_calls_and_results_of_its_own() -> None:
    desk = Desk()
    desk.give(inputs.CreateItem(FunctionCall("", "", "lookup", '{"id": 7}')))
    added = desk.last(events.ItemAdded).item
    assert isinstance(added, FunctionCall)
    assert added.id
    assert added.call_id
    desk.give(inputs.CreateItem(FunctionOutput("mine", added.call_id, "found")), inputs.RetrieveItem("mine"))
    assert desk.last(events.ItemRetrieved).item == FunctionOutput("mine", added.call_id, "found")
    desk.give(inputs.DeleteItem(added.id))
    assert "found" in again(desk).messages[-1].content


def test_items_of_a_live_reply_can_not_be_deleted() -> None:
    desk = offering(WEATHER)
    desk.give(inputs.ReplyText(live(desk), "Let me see. "), inputs.ReplyCall(live(desk), 0, "weather", "{}"))
    for item_id in [event.item.id for event in desk.all(events.OutputItemAdded)]:
        desk.give(inputs.DeleteItem(item_id))
        assert desk.last(events.ErrorOccurred).code == "item_delete_invalid_item_id"


SECRET: tuple[Item, ...] = (FunctionCall("i", "c", "lookup", "{}"), FunctionOutput("o", "c", "secret"))


def test_a_response_out_of_band_runs_beside_the_live_one_and_leaves_no_trace() -> None:
    desk = offering(WEATHER)
    main = live(desk)
    before = len(desk.all(events.ItemAdded))
    options = ResponseOptions(out_of_band=True, output=OutputModality.TEXT, input=SECRET, instructions="Classify.", metadata={"a": "b"})
    desk.give(inputs.CreateResponse(options))
    beside = desk.last(events.ResponseCreated).response
    assert (beside.conversation_id, beside.metadata) == (None, {"a": "b"})
    request = desk.last(commands.StartReply).request
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    assert request.messages[0].content == "Classify."
    desk.give(inputs.ReplyText(beside.id, "A label."), inputs.ReplyFinished(beside.id, "stop"))
    assert desk.last(events.ResponseDone).response.output[0].id == desk.last(events.OutputItemDone).item.id
    assert len(desk.all(events.ItemAdded)) == before
    assert live(desk) == main
    desk.give(inputs.CancelResponse())
    assert "secret" not in str(again(desk).messages)


def test_speech_does_not_stop_a_response_out_of_band_but_the_client_may() -> None:
    desk = Desk()
    desk.give(inputs.CreateResponse(ResponseOptions(out_of_band=True)))
    beside = desk.last(events.ResponseCreated).response.id
    spoken_turn(desk)
    assert not desk.all(events.ResponseDone)
    desk.give(inputs.CancelResponse())
    assert desk.last(events.ErrorOccurred).code == "response_cancel_not_active"
    desk.give(inputs.CancelResponse(beside))
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.CANCELLED


def test_responses_out_of_band_are_counted() -> None:
    desk = Desk()
    for _ in range(5):
        desk.give(inputs.CreateResponse(ResponseOptions(out_of_band=True)))
    assert len(desk.all(events.ResponseCreated)) == 4
    assert desk.last(events.ErrorOccurred).code == "response_limit_reached"
    assert desk.all(commands.Count) == [commands.Count(commands.Happening.OUT_OF_BAND_LIMITED)]


def test_a_response_reads_its_own_input_and_what_it_refers_to() -> None:
    desk = offering(WEATHER)
    turn = desk.last(commands.StartTurn).item_id
    desk.give(inputs.CancelResponse())
    desk.give(inputs.CreateResponse(ResponseOptions(input=(inputs.ItemReference(turn), *SECRET))))
    request = desk.last(commands.StartReply).request
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    assert request.messages[1].content == "How is the weather?"
    desk.give(inputs.CancelResponse())
    desk.give(inputs.CreateResponse(ResponseOptions(input=(inputs.ItemReference("nobody"),))))
    assert desk.last(events.ErrorOccurred).param == "response.input"
    desk.give(inputs.CreateResponse(ResponseOptions(input=())))
    assert len(desk.last(commands.StartReply).request.messages) == 2, "instructions, and a call to speak"
