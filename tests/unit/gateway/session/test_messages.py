"""No history yields a message list that Mistral refuses."""

import itertools

import hypothesis.strategies as st
from hypothesis import given

from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from mistral_voice.gateway.session.messages import CONTINUE, OPENING, to_messages

_PARTS = st.builds(Part, st.sampled_from(list(PartKind)), st.one_of(st.none(), st.text(max_size=20)))
_ITEMS = st.lists(
    st.builds(Message, st.uuids().map(str), st.sampled_from(list(Role)), st.lists(_PARTS, max_size=3).map(tuple)), max_size=12
)


@given(system=st.text(max_size=20), items=_ITEMS)
def test_every_history_becomes_a_legal_list(system: str, items: list[Message]) -> None:
    roles = [message.role for message in to_messages(system, items)]
    assert roles[-1] == "user"
    assert "system" not in roles[1:]
    assert all(before != after for before, after in itertools.pairwise(roles))


@given(items=_ITEMS)
def test_no_words_are_lost(items: list[Message]) -> None:
    written = "\n".join(message.content for message in to_messages("", items))
    assert all(item.text in written for item in items if item.text.strip())


def item(role: Role, text: str | None) -> Message:
    kind = PartKind.OUTPUT_AUDIO if role is Role.ASSISTANT else PartKind.INPUT_AUDIO
    return Message("x", role, (Part(kind, text),))


def test_a_conversation_without_words_begins_with_a_call_to_speak() -> None:
    assert [message.content for message in to_messages("Be kind.", [item(Role.USER, None)])] == ["Be kind.", OPENING]


def test_a_second_reply_in_a_row_is_asked_for() -> None:
    assert to_messages("", [item(Role.USER, "Hi."), item(Role.ASSISTANT, "Hello.")])[-1].content == CONTINUE


def test_system_items_join_the_system_message() -> None:
    messages = to_messages("Be kind.", [item(Role.USER, "Hi."), item(Role.SYSTEM, "It is Monday."), item(Role.USER, "And?")])
    assert [(message.role, message.content) for message in messages] == [("system", "Be kind.\n\nIt is Monday."), ("user", "Hi.\nAnd?")]
