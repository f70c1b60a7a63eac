"""The rules of responses and their items, checked event by event."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mistral_voice.gateway.session import commands, events
from mistral_voice.gateway.session.items import FunctionCall, Item, ItemStatus, Message, PartKind
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.mistral.stream.chat_request import ChatMessage
from mistral_voice.simulator.messages import Strictness, refusal
from mistral_voice.simulator.wire.chat import FunctionCall as WireFunctionCall
from mistral_voice.simulator.wire.chat import Message as WireMessage
from mistral_voice.simulator.wire.chat import ToolCall

OUTPUT_ADDED, IN_CONVERSATION, PART_OPEN, AUDIO_ENDED, TEXT_ENDED, PART_ENDED, ITEM_DONE, OUTPUT_DONE = range(8)


@dataclass
class ItemInMaking:
    """One item of a response, how far it has come, and all that its deltas said."""

    item: Item
    stage: int = OUTPUT_ADDED
    kind: PartKind | None = None
    text: str = ""


@dataclass
class LiveResponse:
    """A response that is being made."""

    out_of_band: bool
    items: list[ItemInMaking] = field(default_factory=list)
    segments: int = 0
    asked: bool = False
    dropped: bool = False


class ResponseLedger:
    """Checks the events and commands of responses; others it ignores. At most one response of the conversation is live."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._live: dict[str, LiveResponse] = {}
        self._speculation: str | None = None
        self._kept: str | None = None

    @property
    def live(self) -> str | None:
        """The id of the conversation's live response."""
        return next((name for name, response in self._live.items() if not response.out_of_band), None)

    @property
    def open_responses(self) -> list[str]:
        """The ids of all live responses."""
        return list(self._live)

    @property
    def items_out_of_band(self) -> set[str]:
        """The ids of items in the making that join no conversation."""
        return {made.item.id for response in self._live.values() if response.out_of_band for made in response.items}

    def enter(self, output: Output) -> None:
        """Check the next output."""
        check = getattr(self, f"_on_{type(output).__name__}", None)
        if check is not None:
            check(output)

    def _on_ResponseCreated(self, event: events.ResponseCreated) -> None:
        view = event.response
        out_of_band = view.conversation_id is None
        assert out_of_band or self.live is None, "two live responses in the conversation"
        assert view.id not in self._seen
        assert view.status == "in_progress"
        assert not view.output
        assert view.id != self._speculation, "a speculation was shown"
        assert self._kept in (None, view.id), "a speculation was kept and not used"
        self._seen.add(view.id)
        self._live[view.id] = LiveResponse(out_of_band, asked=view.id == self._kept)
        self._kept = None

    def _item(self, response_id: str, index: int, item_id: str, *stages: int) -> ItemInMaking:
        assert response_id in self._live, f"{response_id} is not live"
        made = self._live[response_id].items[index]
        assert made.item.id == item_id
        assert made.stage in stages, f"{item_id} is at stage {made.stage}"
        return made

    def _on_OutputItemAdded(self, event: events.OutputItemAdded) -> None:
        response = self._live[event.response_id]
        assert event.output_index == len(response.items)
        assert event.item.status is ItemStatus.IN_PROGRESS
        response.items.append(ItemInMaking(event.item, IN_CONVERSATION if response.out_of_band else OUTPUT_ADDED))

    def _own(self, item: Item) -> ItemInMaking | None:
        return next((made for response in self._live.values() for made in response.items if made.item.id == item.id), None)

    def _on_ItemAdded(self, event: events.ItemAdded) -> None:
        if (made := self._own(event.item)) is not None:
            assert made.stage == OUTPUT_ADDED
            made.stage = IN_CONVERSATION

    def _on_ContentPartAdded(self, event: events.ContentPartAdded) -> None:
        made = self._item(event.response_id, event.output_index, event.item_id, IN_CONVERSATION)
        assert isinstance(made.item, Message)
        made.kind, made.stage = event.kind, PART_OPEN

    def _on_TextDelta(self, event: events.TextDelta) -> None:
        made = self._item(event.response_id, event.output_index, event.item_id, PART_OPEN)
        assert event.kind is made.kind
        made.text += event.delta

    def _on_AudioDelta(self, event: events.AudioDelta) -> None:
        assert self._item(event.response_id, event.output_index, event.item_id, PART_OPEN).kind is PartKind.OUTPUT_AUDIO

    def _on_AudioDone(self, event: events.AudioDone) -> None:
        made = self._item(event.response_id, event.output_index, event.item_id, PART_OPEN)
        assert made.kind is PartKind.OUTPUT_AUDIO
        made.stage = AUDIO_ENDED

    def _on_TextDone(self, event: events.TextDone) -> None:
        spoken = event.kind is PartKind.OUTPUT_AUDIO
        made = self._item(event.response_id, event.output_index, event.item_id, AUDIO_ENDED if spoken else PART_OPEN)
        assert event.text == made.text
        made.stage = TEXT_ENDED

    def _on_ContentPartDone(self, event: events.ContentPartDone) -> None:
        made = self._item(event.response_id, event.output_index, event.item_id, TEXT_ENDED)
        assert event.text == made.text
        made.stage = PART_ENDED

    def _on_ArgumentsDelta(self, event: events.ArgumentsDelta) -> None:
        made = self._item(event.response_id, event.output_index, event.item_id, IN_CONVERSATION)
        assert isinstance(made.item, FunctionCall)
        assert made.item.call_id == event.call_id
        made.text += event.delta

    def _on_ArgumentsDone(self, event: events.ArgumentsDone) -> None:
        made = self._item(event.response_id, event.output_index, event.item_id, IN_CONVERSATION)
        assert isinstance(made.item, FunctionCall)
        assert (made.item.call_id, made.item.name, made.text) == (event.call_id, event.name, event.arguments)
        made.stage = PART_ENDED

    def _on_ItemDone(self, event: events.ItemDone) -> None:
        if (made := self._own(event.item)) is not None:
            assert made.stage == PART_ENDED
            made.stage = ITEM_DONE

    def _on_OutputItemDone(self, event: events.OutputItemDone) -> None:
        before = PART_ENDED if self._live[event.response_id].out_of_band else ITEM_DONE
        made = self._item(event.response_id, event.output_index, event.item.id, before)
        assert event.item.status is not ItemStatus.IN_PROGRESS
        assert made.text == (event.item.text if isinstance(event.item, Message) else getattr(event.item, "arguments", None))
        made.stage, made.item = OUTPUT_DONE, event.item

    def _on_ResponseDone(self, event: events.ResponseDone) -> None:
        view = event.response
        response = self._live.pop(view.id)
        assert all(made.stage == OUTPUT_DONE for made in response.items), "a response is done before its items"
        assert view.status != "in_progress"
        assert view.usage is not None
        assert view.output == tuple(made.item for made in response.items)
        assert response.out_of_band == (view.conversation_id is None)

    def _on_StartReply(self, command: commands.StartReply) -> None:
        response = self._live[command.response_id]
        assert not response.asked
        response.asked = True
        assert refusal(wire_messages(command.request.messages), Strictness()) is None

    def _on_Speculate(self, command: commands.Speculate) -> None:
        assert self._speculation is None, "two speculations at once"
        assert command.reply_id not in self._seen
        assert refusal(wire_messages(command.request.messages), Strictness()) is None
        self._speculation = command.reply_id

    def _on_DropSpeculation(self, command: commands.DropSpeculation) -> None:
        assert command.reply_id == self._speculation
        self._seen.add(command.reply_id)

    def _on_Speculated(self, command: commands.Speculated) -> None:
        assert self._speculation is not None, "a speculation ended twice"
        if command.wasted is None:
            assert self._speculation not in self._seen, "a dropped speculation was kept"
            self._kept = self._speculation
        self._speculation = None

    def _on_Speak(self, command: commands.Speak) -> None:
        response = self._live[command.response_id]
        assert command.segment == response.segments
        assert command.text.strip()
        response.segments += 1

    def _on_DropReply(self, command: commands.DropReply) -> None:
        response = self._live[command.response_id]
        assert not response.dropped
        response.dropped = True

    def _on_EndSession(self, _: commands.EndSession) -> None:
        assert not self._live, "the session ended with a live response"
        assert self._speculation is None, "the session ended with a speculation"


def wire_messages(messages: Sequence[ChatMessage]) -> list[WireMessage]:
    """Return a request's messages as the simulator reads them."""
    return [
        WireMessage(
            message.role,
            message.content,
            [ToolCall(WireFunctionCall(call.name, call.arguments), call.id) for call in message.calls] or None,
            message.call_id,
        )
        for message in messages
    ]
