"""The function calls of one reply, as their arguments stream in."""

from msgspec import structs

from mistral_voice.gateway.session.context import NewId
from mistral_voice.gateway.session.events import ArgumentsDelta, ArgumentsDone
from mistral_voice.gateway.session.items import FunctionCall, ItemStatus
from mistral_voice.gateway.session.outbox import Outbox
from mistral_voice.gateway.session.output_items import OutputItems

NO_ARGUMENTS = "{}"
"""Stands for the arguments of a call that came without any, so that every complete call holds JSON."""


class ReplyCalls:
    """Calls begin as the model names them and end together, when the reply is written."""

    def __init__(self, response_id: str, output: OutputItems, new_id: NewId, outbox: Outbox) -> None:
        self._response_id = response_id
        self._output = output
        self._new_id = new_id
        self._outbox = outbox
        self._open: dict[int, tuple[int, FunctionCall]] = {}

    def push(self, number: int, name: str, arguments: str) -> None:
        """More of a call came."""
        if number not in self._open:
            call = FunctionCall(self._new_id("item"), self._new_id("call"), name, "", ItemStatus.IN_PROGRESS)
            self._open[number] = self._output.begin(call), call
        if arguments:
            index, call = self._open[number]
            self._open[number] = index, structs.replace(call, arguments=call.arguments + arguments)
            self._outbox.put(ArgumentsDelta(self._response_id, call.id, call.call_id, arguments, index))

    def end(self, *, whole: bool) -> None:
        """No more comes. If the reply is not `whole`, its last call was cut off."""
        for number in sorted(self._open):
            self._end(number, ItemStatus.COMPLETED if whole or number != max(self._open) else ItemStatus.INCOMPLETE)
        self._open.clear()

    def _end(self, number: int, status: ItemStatus) -> None:
        if status is ItemStatus.COMPLETED and not self._open[number][1].arguments:
            self.push(number, "", NO_ARGUMENTS)
        index, call = self._open[number]
        call = structs.replace(call, status=status)
        self._outbox.put(ArgumentsDone(self._response_id, call.id, call.call_id, call.name, call.arguments, index))
        self._output.end(index, call)
