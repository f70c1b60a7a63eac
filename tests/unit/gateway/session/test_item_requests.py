"""Items that a client adds, asks for and cuts."""

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from tests.support.session import Desk, message, only
from tests.support.speaking import reply_of


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


def test_a_doubled_item_is_refused() -> None:
    desk = Desk()
    desk.give(inputs.CreateItem(Message("x", Role.USER)), inputs.CreateItem(Message("x", Role.USER)))
    assert desk.last(events.ErrorOccurred).code == "item_create_duplicate_item_id"
