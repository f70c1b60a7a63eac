"""What a client may do to the conversation's items."""

from msgspec import structs

from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.events import ItemAdded, ItemDeleted, ItemDone, ItemRetrieved, ItemTruncated
from mistral_voice.gateway.session.heard import sent_ms
from mistral_voice.gateway.session.items import FunctionCall, FunctionOutput, Item, Message, PartKind, Role, is_system
from mistral_voice.gateway.session.replies import Replies

OVERSHOOT_MS = 100
"""A client may claim to have played so much more than was sent."""


class ItemRequests:
    """Creates, deletes, retrieves and truncates items."""

    def __init__(self, context: Context, replies: Replies) -> None:
        self._context = context
        self._replies = replies

    def create(self, event: inputs.CreateItem) -> None:
        """Add the client's item."""
        self._context.policy.refuse_system_message(is_one=is_system(event.item), param="item.role")
        conversation = self._context.conversation
        item = self._named(event.item)
        conversation.add(item, event.after)
        if isinstance(item, FunctionOutput):
            self._replies.result_came()
        previous = conversation.previous_of(item.id)
        self._context.outbox.put(ItemAdded(item, previous), ItemDone(item, previous))

    def _named(self, item: Item) -> Item:
        if not item.id:
            item = structs.replace(item, id=self._context.new_id("item"))
        if isinstance(item, FunctionCall) and not item.call_id:
            item = structs.replace(item, call_id=self._context.new_id("call"))
        return item

    def delete(self, event: inputs.DeleteItem) -> None:
        """Delete an item."""
        if event.item_id in self._replies.live_item_ids:
            raise Refused("item_delete_invalid_item_id", "The item is part of the active response; cancel that first.", "item_id")
        self._context.conversation.remove(event.item_id)
        self._context.outbox.put(ItemDeleted(event.item_id))

    def retrieve(self, event: inputs.RetrieveItem) -> None:
        """Show an item, without its audio, which isn't kept."""
        item = self._context.conversation.get(event.item_id)
        if item is None:
            raise Refused("item_retrieve_invalid_item_id", f"There is no item with the id {event.item_id!r}.", "item_id")
        self._context.outbox.put(ItemRetrieved(item))

    def truncate(self, event: inputs.TruncateItem) -> None:
        """Let what the caller did not hear of a spoken item leave the conversation."""
        item = self._context.conversation.get(event.item_id)
        spoken = self._replies.spoken(event.item_id)
        if (
            not isinstance(item, Message)
            or item.role is not Role.ASSISTANT
            or not item.parts
            or item.parts[0].kind is not PartKind.OUTPUT_AUDIO
            or not spoken
        ):
            raise Refused("item_truncate_invalid_item_id", f"There is no spoken item with the id {event.item_id!r}.", "item_id")
        if event.content_index != 0:
            raise Refused("invalid_value", "A spoken item has one part; `content_index` must be 0.", "content_index")
        longest_ms = int(sent_ms(spoken))
        if not 0 <= event.audio_end_ms <= longest_ms + OVERSHOOT_MS:
            raise Refused("invalid_value", f"`audio_end_ms` must be from 0 to {longest_ms}, the length of the audio.", "audio_end_ms")
        heard_ms = min(event.audio_end_ms, longest_ms)
        self._replies.truncated(item.id, heard_ms)
        self._context.outbox.put(ItemTruncated(item.id, 0, heard_ms))
