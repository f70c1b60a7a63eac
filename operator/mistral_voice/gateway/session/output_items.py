"""The items of one reply: each begun and ended exactly once, counted in the order of their beginning."""

from mistral_voice.gateway.session.conversation import Conversation
from mistral_voice.gateway.session.events import ItemAdded, ItemDone, OutputItemAdded, OutputItemDone
from mistral_voice.gateway.session.items import Item
from mistral_voice.gateway.session.outbox import Outbox


class OutputItems:
    """The reply's items. `conversation` None: they join none, and no event speaks of one."""

    def __init__(self, response_id: str, conversation: Conversation | None, outbox: Outbox) -> None:
        self._response_id = response_id
        self._conversation = conversation
        self._outbox = outbox
        self._after: str | None = None
        self._items: list[Item] = []

    @property
    def items(self) -> tuple[Item, ...]:
        """The items so far."""
        return tuple(self._items)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the items so far."""
        return tuple(item.id for item in self._items)

    def place(self) -> None:
        """The items follow what is the newest item now, whatever comes meanwhile."""
        self._after = self._conversation.last_id if self._conversation else None

    def begin(self, item: Item) -> int:
        """An item begins; returns its index."""
        self._items.append(item)
        index = len(self._items) - 1
        self._outbox.put(OutputItemAdded(self._response_id, item, index))
        if self._conversation is not None:
            self._conversation.add_reply(item, self._after)
            self._after = item.id
            self._outbox.put(ItemAdded(item, self._conversation.previous_of(item.id)))
        return index

    def end(self, index: int, item: Item) -> None:
        """The item at this index is complete, or as complete as it will be."""
        self._items[index] = item
        if self._conversation is not None:
            self._conversation.replace(item)
            self._outbox.put(ItemDone(item, self._conversation.previous_of(item.id)))
        self._outbox.put(OutputItemDone(self._response_id, item, index))
