"""No history yields a message list that Mistral refuses."""

import itertools
from collections.abc import Sequence

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from mistral_voice.gateway.session.conversation import Conversation
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.items import FunctionCall, FunctionOutput, Item, ItemStatus, Message, Part, PartKind, Role
from mistral_voice.gateway.session.messages import (
    BRIDGE,
    CONTINUE,
    CUT_OFF,
    LATE_RESULT,
    OPENING,
    STILL_RUNNING,
    call_rounds,
    to_messages,
)
from mistral_voice.mistral.stream.chat_request import ChatMessage
from mistral_voice.simulator.messages import Strictness, refusal
from tests.support.response_ledger import wire_messages

_IDS = st.sampled_from(["call_1", "call_2", "abcDEF123", "", "x" * 60])
_STATUSES = st.sampled_from(list(ItemStatus))
_PARTS = st.builds(Part, st.sampled_from(list(PartKind)), st.one_of(st.none(), st.text(max_size=20)), st.sampled_from([None, "data:"]))
_MESSAGES = st.builds(Message, st.uuids().map(str), st.sampled_from(list(Role)), st.lists(_PARTS, max_size=3).map(tuple), _STATUSES)
_CALLS = st.builds(
    FunctionCall,
    st.uuids().map(str),
    _IDS,
    st.one_of(st.just("weather"), st.text(max_size=80)),
    st.one_of(st.just('{"city": "Paris"}'), st.text(max_size=20)),
    _STATUSES,
)
_OUTPUTS = st.builds(FunctionOutput, st.uuids().map(str), _IDS, st.text(max_size=20), _STATUSES)
_ITEMS = st.lists(st.one_of(_MESSAGES, _CALLS, _OUTPUTS), max_size=16)


def refused(messages: Sequence[ChatMessage]) -> str | None:
    """Why the simulator, with all its rules on, would refuse the list."""
    reason = refusal(wire_messages(messages), Strictness())
    return None if reason is None else reason.message


@given(system=st.text(max_size=20), items=_ITEMS)
def test_every_history_becomes_a_legal_list(system: str, items: list[Item]) -> None:
    messages = to_messages(system, items)
    assert refused(messages) is None
    roles = [message.role for message in messages]
    assert "system" not in roles[1:]
    assert roles[roles[0] == "system"] == "user", "the user comes first"
    assert all(before != after or before == "tool" for before, after in itertools.pairwise(roles))
    assert all(isinstance(msgspec.json.decode(call.arguments), dict) for message in messages for call in message.calls)


_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["add", "insert", "delete", "truncate"]),
        st.one_of(_MESSAGES, _CALLS, _OUTPUTS),
        st.integers(0, 30),
        st.text(max_size=5),
    ),
    max_size=25,
)


@given(edits=_EDITS)
def test_no_edits_of_a_conversation_make_it_illegal(edits: list[tuple[str, Item, int, str]]) -> None:
    conversation = Conversation("conv")
    for edit, item, number, text in edits:
        ids = ["root", *(known.id for known in conversation.items)]
        chosen = ids[number % len(ids)]
        try:
            if edit in ("add", "insert"):
                conversation.add(item, chosen if edit == "insert" else None)
            elif edit == "delete":
                conversation.remove(chosen)
            elif isinstance(known := conversation.get(chosen), Message) and known.parts:
                conversation.set_text(chosen, 0, text)
        except Refused:
            continue
        assert refused(to_messages("Be kind.", conversation.items)) is None


@given(items=_ITEMS)
def test_no_words_and_no_results_are_lost(items: list[Item]) -> None:
    written = "\n".join(message.content for message in to_messages("", items))
    assert all(item.text in written for item in items if isinstance(item, Message) and item.text.strip())
    assert all(item.output in written for item in items if isinstance(item, FunctionOutput))


@given(items=_ITEMS, more=_ITEMS)
def test_the_same_call_keeps_its_id_as_the_conversation_goes_on(items: list[Item], more: list[Item]) -> None:
    before = [call.id for message in to_messages("", items) for call in message.calls]
    after = [call.id for message in to_messages("", [*items, *more]) for call in message.calls]
    assert after[: len(before)] == before


def said(role: Role, text: str | None, name: str = "x") -> Message:
    kind = PartKind.OUTPUT_AUDIO if role is Role.ASSISTANT else PartKind.INPUT_AUDIO
    return Message(name, role, (Part(kind, text),))


def call(call_id: str, status: ItemStatus = ItemStatus.COMPLETED) -> FunctionCall:
    return FunctionCall(f"item_{call_id}", call_id, "weather", '{"city": "Paris"}', status)


def result(call_id: str, output: str = "sunny") -> FunctionOutput:
    return FunctionOutput(f"out_{call_id}", call_id, output)


def shown(items: list[Item]) -> list[tuple[str, str]]:
    """The list as pairs of role and words; an assistant's calls are counted in front of its words."""
    return [
        (message.role, f"{len(message.calls)} {message.content}".strip() if message.calls else message.content)
        for message in to_messages("", items)
    ]


ASKED = said(Role.USER, "How is the weather?")


def test_a_conversation_without_words_begins_with_a_call_to_speak() -> None:
    assert [message.content for message in to_messages("Be kind.", [said(Role.USER, None)])] == ["Be kind.", OPENING]


def test_a_greeting_is_remembered_as_the_answer_to_that_call() -> None:
    assert shown([said(Role.ASSISTANT, "Hello."), said(Role.USER, "Hi.")]) == [("user", OPENING), ("assistant", "Hello."), ("user", "Hi.")]


def test_a_second_reply_in_a_row_is_asked_for() -> None:
    assert to_messages("", [said(Role.USER, "Hi."), said(Role.ASSISTANT, "Hello.")])[-1].content == CONTINUE


def test_system_items_join_the_system_message() -> None:
    messages = to_messages("Be kind.", [said(Role.USER, "Hi."), said(Role.SYSTEM, "It is Monday."), said(Role.USER, "And?")])
    assert [(message.role, message.content) for message in messages] == [("system", "Be kind.\n\nIt is Monday."), ("user", "Hi.\nAnd?")]


def test_words_and_calls_of_a_reply_are_one_message_with_a_result_each() -> None:
    items: list[Item] = [ASKED, said(Role.ASSISTANT, "Let me see."), call("a"), call("b"), result("b", "rainy"), result("a")]
    assert shown(items) == [
        ("user", "How is the weather?"),
        ("assistant", "2 Let me see."),
        ("tool", "sunny"),
        ("tool", "rainy"),
    ]


def test_calls_after_a_result_are_a_round_of_their_own() -> None:
    items: list[Item] = [ASKED, call("a"), result("a"), call("b"), result("b")]
    assert [role for role, _ in shown(items)] == ["user", "assistant", "tool", "assistant", "tool"]
    assert call_rounds(items) == 2
    assert call_rounds([*items, ASKED, call("c"), call("d")]) == 1


def test_a_caller_who_speaks_while_a_function_runs_is_answered() -> None:
    items: list[Item] = [ASKED, call("a"), said(Role.USER, "Never mind.")]
    assert shown(items)[2:] == [("tool", STILL_RUNNING), ("assistant", BRIDGE), ("user", "Never mind.")]
    assert shown([*items, result("a")])[2:] == [("tool", "sunny"), ("assistant", BRIDGE), ("user", "Never mind.")]


def test_a_call_that_was_cut_off_is_told_as_such() -> None:
    assert shown([ASKED, call("a", ItemStatus.INCOMPLETE), said(Role.USER, "Stop.")])[2] == ("tool", CUT_OFF)


def test_a_result_whose_call_was_deleted_is_told_as_a_note() -> None:
    assert shown([ASKED, result("gone")]) == [("user", "How is the weather?\n" + LATE_RESULT.format(output="sunny"))]


def test_ids_of_nine_letters_are_kept_and_others_are_mapped() -> None:
    messages = to_messages(
        "", [ASKED, call("abcDEF123"), call("call_with_a_long_name"), result("call_with_a_long_name"), result("abcDEF123")]
    )
    kept, mapped = (made.id for made in messages[1].calls)
    assert kept == "abcDEF123"
    assert [message.call_id for message in messages[2:]] == [kept, mapped]


def test_pictures_go_with_the_words_they_came_with() -> None:
    picture = Message(
        "p", Role.USER, (Part(PartKind.INPUT_TEXT, "What is this?"), Part(PartKind.INPUT_IMAGE, image_url="data:image/png;base64,AA"))
    )
    assert to_messages("", [picture])[0].images == ("data:image/png;base64,AA",)
