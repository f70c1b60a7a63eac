"""The bounds of a conversation."""

from mistral_voice.gateway.session.conversation import MAX_CHARACTERS, MAX_IMAGES, MAX_ITEMS, ROOT, Conversation
from mistral_voice.gateway.session.items import PART_CHARACTERS, FunctionCall, FunctionOutput, Item, Message, Part, PartKind, Role


def picture(name: str) -> Message:
    return Message(name, Role.USER, (Part(PartKind.INPUT_TEXT, "Look."), Part(PartKind.INPUT_IMAGE, image_url="data:")))


def test_the_oldest_pictures_are_forgotten_and_their_words_stay() -> None:
    conversation = Conversation("conv")
    for number in range(MAX_IMAGES + 2):
        conversation.add(picture(str(number)))
    shown = [len(item.images) for item in conversation.items if isinstance(item, Message)]
    assert shown == [0, 0, *[1] * MAX_IMAGES]
    assert all(item.text == "Look." for item in conversation.items if isinstance(item, Message))


def test_the_oldest_items_leave_a_conversation_that_is_too_long() -> None:
    conversation = Conversation("conv")
    for number in range(MAX_ITEMS + 5):
        conversation.add(FunctionOutput(str(number), "call", "x"))
    assert len(conversation.items) == MAX_ITEMS
    assert conversation.get("4") is None
    conversation.add(FunctionCall("long", "call", "f", "x" * MAX_CHARACTERS))
    assert [item.id for item in conversation.items] == ["long"]


def test_parts_without_words_and_ids_count_too() -> None:
    conversation = Conversation("conv")
    silent = tuple(Part(PartKind.INPUT_AUDIO) for _ in range(64))
    for number in range(MAX_ITEMS):
        conversation.add(Message(f"{number:0128}", Role.USER, silent))
    assert len(conversation.items) == MAX_CHARACTERS // (128 + 64 * PART_CHARACTERS)


def test_an_item_that_is_added_never_leaves_at_once() -> None:
    conversation = Conversation("conv")
    for number in range(MAX_ITEMS):
        conversation.add(FunctionOutput(str(number), "call", "x"))
    conversation.add(FunctionOutput("first", "call", "x"), ROOT)
    assert [item.id for item in conversation.items][:2] == ["first", "1"]
    assert conversation.previous_of("0") is None


def test_of_a_message_with_many_pictures_the_last_stay() -> None:
    conversation = Conversation("conv")
    parts = tuple(Part(PartKind.INPUT_IMAGE, image_url=f"data:{number}") for number in range(MAX_IMAGES + 1))
    conversation.add(Message("many", Role.USER, parts))
    (item,) = conversation.items
    assert isinstance(item, Message)
    assert item.images == tuple(f"data:{number}" for number in range(1, MAX_IMAGES + 1))
    assert len(item.parts) == MAX_IMAGES + 1


def test_a_transcript_goes_into_a_part_that_was_spoken_and_no_other() -> None:
    conversation = Conversation("conv")
    others: list[Item] = [
        Message("without", Role.USER),
        Message("written", Role.USER, (Part(PartKind.INPUT_TEXT, "By hand."),)),
        FunctionOutput("result", "call", "x"),
    ]
    for item in (*others, Message("spoken", Role.USER, (Part(PartKind.INPUT_AUDIO),))):
        conversation.add(item)
        conversation.set_text(item.id, 0, "What was said.")
    assert list(conversation.items) == [*others, Message("spoken", Role.USER, (Part(PartKind.INPUT_AUDIO, "What was said."),))]
