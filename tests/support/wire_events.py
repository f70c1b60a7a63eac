"""Events on the wire, checked against OpenAI's own types."""

import json
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent

from mistral_voice.gateway.protocol.server_events import EventWriter
from mistral_voice.gateway.session import events

_TYPES = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
    if hasattr(kind, "model_fields")
}


def checked(text: str | bytes) -> dict[str, Any]:
    """Return an event; raises if OpenAI's types don't know it, or a field of it."""
    event: dict[str, Any] = json.loads(text)
    _TYPES[event["type"]].model_validate(event)
    return event


class WireCheck:
    """Writes a session's events as its client would get them, and checks each."""

    def __init__(self) -> None:
        self._writer = EventWriter("check_")
        self._ids: set[str] = set()

    def enter(self, event: events.Event) -> None:
        """Check the next event."""
        wire = checked(self._writer.write(event))
        assert wire["event_id"] not in self._ids
        self._ids.add(wire["event_id"])
        assert wire.get("usage") != {}
        assert wire.get("response", {}).get("usage") != {}
