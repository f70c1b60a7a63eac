"""The conversation: an ordered list of items with unique ids, bounded."""

from msgspec import structs

from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.items import Item, Message, Part

MAX_ITEMS = 500
"""Items of one conversation; beyond it the oldest leave the context."""
MAX_CHARACTERS = 400_000
"""Text of one conversation; beyond it the oldest items leave the context."""
MAX_IMAGES = 4
"""Pictures of one conversation; beyond it the oldest are forgotten, and their messages stay."""
ROOT = "root"
"""As `previous_item_id`: insert at the beginning."""


class Conversation:
    """The items of the default conversation, oldest first."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._items: list[Item] = []
        self.has_begun = False

    @property
    def items(self) -> tuple[Item, ...]:
        """All items in order."""
        return tuple(self._items)

    def get(self, item_id: str) -> Item | None:
        """Return the item of this id, or None."""
        return next((item for item in self._items if item.id == item_id), None)

    def previous_of(self, item_id: str) -> str | None:
        """Return the id of the item before this one, None for the first, or one that isn't there."""
        previous: str | None = None
        for item in self._items:
            if item.id == item_id:
                return previous
            previous = item.id
        return None

    @property
    def last_id(self) -> str | None:
        """The id of the newest item."""
        return self._items[-1].id if self._items else None

    def add(self, item: Item, after: str | None = None) -> None:
        """Insert an item after another, at the beginning (`root`), or at the end. Raises Refused for a doubled or an unknown id."""
        if self.get(item.id) is not None:
            raise Refused("item_create_duplicate_item_id", f"There is already an item with the id {item.id!r}.", "item.id")
        if after is None:
            position = len(self._items)
        elif after == ROOT:
            position = 0
        else:
            position = 1 + self._position(after, "previous_item_id", "item_create_invalid_previous_item_id")
        self._items.insert(position, item)
        self.has_begun = True
        self._evict(keep=item.id)

    def add_reply(self, item: Item, answers: str | None) -> None:
        """Insert a reply right after the item that was the newest when it was asked for; what came since was not known to it."""
        if answers is not None and self.get(answers) is None:
            answers = self.last_id
        self.add(item, ROOT if answers is None else answers)

    def replace(self, item: Item) -> None:
        """Put a changed item in its place; nothing happens if it has left the conversation."""
        for position, present in enumerate(self._items):
            if present.id == item.id:
                self._items[position] = item
                return

    def remove(self, item_id: str) -> None:
        """Delete an item. Raises Refused if there is none of this id."""
        del self._items[self._position(item_id, "item_id", "item_delete_invalid_item_id")]

    def set_text(self, item_id: str, index: int, text: str) -> None:
        """Replace the text of one spoken part, such as a transcript that became known.

        Nothing happens if there is none: the item may have left the conversation, and another of the client's may bear its id.
        """
        item = self.get(item_id)
        if isinstance(item, Message) and index < len(item.parts) and item.parts[index].kind.is_audio:
            self.replace(item.with_text(index, text))
            self._evict()

    def _position(self, item_id: str, param: str, code: str) -> int:
        for position, item in enumerate(self._items):
            if item.id == item_id:
                return position
        raise Refused(code, f"There is no item with the id {item_id!r} in this conversation.", param)

    def _evict(self, keep: str | None = None) -> None:
        size = sum(item.characters for item in self._items)
        while len(self._items) > 1 and (len(self._items) > MAX_ITEMS or size > MAX_CHARACTERS):
            size -= self._items.pop(1 if self._items[0].id == keep else 0).characters
        self._forget_images()

    def _forget_images(self) -> None:
        left = MAX_IMAGES
        for position in range(len(self._items) - 1, -1, -1):
            item = self._items[position]
            if isinstance(item, Message) and item.images:
                parts: list[Part] = []
                for part in reversed(item.parts):
                    left -= part.image_url is not None
                    parts.append(structs.replace(part, image_url=None) if left < 0 else part)
                self._items[position] = structs.replace(item, parts=tuple(reversed(parts)))
