"""Items as clients write them."""

import json
from typing import Any

import pytest

from mistral_voice.gateway.protocol.client_events import decode
from mistral_voice.gateway.session.inputs import CreateItem
from mistral_voice.gateway.session.items import FunctionCall, Message, Role


@pytest.mark.parametrize(
    ("fields", "item"),
    [
        ({"type": "message", "role": "user"}, Message("", Role.USER)),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, FunctionCall("", "", "f", "{}")),
    ],
)
def test_no_content_may_be_written_as_null(fields: dict[str, Any], item: Message | FunctionCall) -> None:
    event = decode(json.dumps({"type": "conversation.item.create", "item": {**fields, "content": None, "id": None}}).encode())
    assert isinstance(event, CreateItem)
    assert event.item == item
