"""Any event that a client of the Realtime protocol might send, and many that none should: drawn from the protocol's own types."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from openai.types.realtime import RealtimeClientEvent
from pydantic import BaseModel

EVENTS: tuple[type[BaseModel], ...] = get_args(get_args(RealtimeClientEvent)[0])
_TEXTS = ("item_1", "item_2", "root", "", "resp_1", "Hello.", "mistral-medium-latest", "gpt-realtime", "alloy", "x" * 3000, "null")
_LETTERS = 'abc XYZ019._-\u0000\u00fc\u200b\ud7ff\u4e2d\U0001f642"\\{}[]'
_NUMBERS = (0, 1, -1, 5000, 10**30, -(2**63), 2**64)
_FLOATS = (0.0, 0.5, -1.5, 1e308, -1e-308, float("inf"))
_AUDIO_BYTES = (0, 1, 2, 960, 4800, 48_000)
_BREAKS = ("", "}", '"', "\\u", "[" * 500)
_DEEPEST = 5
_STRANGE = 1 / 9
"""So many fields have a value of any type."""
_RICH = 4
"""An event with fields of its own is drawn so many times as often as one that has none: of those there are few."""


class AnyMessage:
    """Draws messages, the same ones for the same seed: mostly events with valid or nearly valid fields."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._weights = [_RICH if kind.model_fields.keys() - {"type", "event_id", "response_id"} else 1 for kind in EVENTS]

    def draw(self) -> str:
        """Return a message: some have fields of anything, and some are no JSON."""
        (kind,) = self._chance.choices(EVENTS, self._weights)
        fields = self._model(kind, 0) if self._happens(0.9) else self._fields_of_anything(_DEEPEST - 3)
        name = _type_of(kind) if self._happens(0.99) else "nonsense"
        text = json.dumps({**fields, "type": name})
        return self._broken(text) if self._happens(0.1) else text

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _broken(self, text: str) -> str:
        cut = self._chance.randrange(len(text))
        return text[:cut] + self._chance.choice(_BREAKS) + text[cut + 1 :]

    def _model(self, kind: type[BaseModel], depth: int) -> dict[str, Any]:
        return {
            name: self._field(name, field.annotation, depth)
            for name, field in kind.model_fields.items()
            if field.is_required() or (depth <= _DEEPEST and self._happens(0.5))
        }

    def _field(self, name: str, annotation: Any, depth: int) -> Any:
        if name == "audio" and annotation in (str, str | None):
            return self._audio()
        return self._anything(depth) if self._happens(_STRANGE / (depth + 1)) else self._value(annotation, depth)

    def _value(self, annotation: Any, depth: int) -> Any:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if hasattr(annotation, "__metadata__"):
            return self._value(arguments[0], depth)
        if origin is Union or type(annotation).__name__ == "UnionType":
            return self._value(self._chance.choice(arguments), depth)
        if origin is Literal:
            return self._chance.choice(arguments)
        if origin is list:
            return [self._value(arguments[0], depth + 1) for _ in range(self._chance.randrange(3))]
        if origin is dict:
            return {self._text(): self._value(arguments[1], depth + 1) for _ in range(self._chance.randrange(3))}
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self._model(annotation, depth + 1)
        simple: dict[Any, Callable[[], Any]] = {
            str: self._text,
            int: self._number,
            float: lambda: self._chance.choice(_FLOATS) if self._happens(0.5) else self._chance.uniform(-2, 2),
            bool: lambda: self._happens(0.5),
            type(None): lambda: None,
        }
        return simple[annotation]() if annotation in simple else self._anything(depth)

    def _anything(self, depth: int) -> Any:
        drawn = self._chance.random()
        if drawn < 0.2 and depth < _DEEPEST:
            return [self._anything(depth + 1) for _ in range(self._chance.randrange(4))]
        if drawn < 0.4 and depth < _DEEPEST:
            return self._fields_of_anything(depth)
        return self._value(self._chance.choice((str, int, float, bool, type(None))), depth)

    def _fields_of_anything(self, depth: int) -> dict[str, Any]:
        return {self._text(): self._anything(depth + 1) for _ in range(self._chance.randrange(5))}

    def _text(self) -> str:
        if self._happens(0.5):
            return self._chance.choice(_TEXTS)
        return "".join(self._chance.choices(_LETTERS, k=self._chance.randrange(20)))

    def _number(self) -> int:
        return self._chance.choice(_NUMBERS) if self._happens(0.3) else self._chance.randrange(-10, 10_000)

    def _audio(self) -> str:
        if self._happens(0.3):
            return self._chance.choice(("&&&", self._text()))
        return base64.b64encode(bytes(self._chance.choice(_AUDIO_BYTES))).decode()


def _type_of(kind: type[BaseModel]) -> str:
    return str(get_args(kind.model_fields["type"].annotation)[0])
