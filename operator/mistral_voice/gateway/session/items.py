"""The items of a conversation."""

from enum import StrEnum

from msgspec import Struct, structs


class Role(StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class PartKind(StrEnum):
    """What a part of a message holds. The text of an audio part is its transcript."""

    INPUT_TEXT = "input_text"
    INPUT_AUDIO = "input_audio"
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
    """A part of a message. `text` None: an audio part whose transcript is not (yet) known. The audio itself is not kept."""

    kind: PartKind
    text: str | None = None


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

    def with_text(self, index: int, text: str | None) -> "Message":
        """Return the message with the text of one part replaced."""
        part = structs.replace(self.parts[index], text=text)
        return structs.replace(self, parts=(*self.parts[:index], part, *self.parts[index + 1 :]))


Item = Message
