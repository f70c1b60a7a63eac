"""The items of a conversation: messages, function calls and their results."""

from enum import StrEnum

from msgspec import Struct, structs

PART_CHARACTERS = 16
"""What a part of a message counts for beside its text."""


class Role(StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class PartKind(StrEnum):
    """What a part of a message holds. The text of an audio part is its transcript."""

    INPUT_TEXT = "input_text"
    INPUT_AUDIO = "input_audio"
    INPUT_IMAGE = "input_image"
    OUTPUT_TEXT = "output_text"
    OUTPUT_AUDIO = "output_audio"

    @property
    def is_audio(self) -> bool:
        """Whether the part was spoken."""
        return self in (PartKind.INPUT_AUDIO, PartKind.OUTPUT_AUDIO)


class ItemStatus(StrEnum):
    """How far an item has come. An interrupted one is incomplete."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class Part(Struct, frozen=True):
    """A part of a message. `text` None: an audio part whose transcript is not (yet) known. The audio itself is not kept.

    `image_url` is a picture as a data URI, kept for the model alone.
    """

    kind: PartKind
    text: str | None = None
    image_url: str | None = None


class Message(Struct, frozen=True):
    """A message of the conversation."""

    id: str
    role: Role
    parts: tuple[Part, ...] = ()
    status: ItemStatus = ItemStatus.COMPLETED

    @property
    def text(self) -> str:
        """All that the message says, in words."""
        return "\n".join(part.text for part in self.parts if part.text)

    @property
    def images(self) -> tuple[str, ...]:
        """The pictures that the message shows, as data URIs."""
        return tuple(part.image_url for part in self.parts if part.image_url)

    @property
    def characters(self) -> int:
        """How much the item brings into the context: its text, and what holds it together."""
        return len(self.id) + sum(PART_CHARACTERS + len(part.text or "") for part in self.parts)

    def with_text(self, index: int, text: str | None) -> "Message":
        """Return the message with the text of one part replaced."""
        part = structs.replace(self.parts[index], text=text)
        return structs.replace(self, parts=(*self.parts[:index], part, *self.parts[index + 1 :]))


class FunctionCall(Struct, frozen=True):
    """The assistant asks the client to run a function. `arguments` is JSON text; an incomplete call was cut off in the middle."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus = ItemStatus.COMPLETED

    @property
    def characters(self) -> int:
        """How much the item brings into the context: its text, and what holds it together."""
        return len(self.id) + len(self.call_id) + len(self.name) + len(self.arguments)


class FunctionOutput(Struct, frozen=True):
    """What a function has returned to the call of this `call_id`."""

    id: str
    call_id: str
    output: str
    status: ItemStatus = ItemStatus.COMPLETED

    @property
    def characters(self) -> int:
        """How much the item brings into the context: its text, and what holds it together."""
        return len(self.id) + len(self.call_id) + len(self.output)


Item = Message | FunctionCall | FunctionOutput


def is_system(item: Item) -> bool:
    """Whether an item speaks to the model as instructions do."""
    return isinstance(item, Message) and item.role is Role.SYSTEM
