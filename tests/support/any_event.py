"""Any event that a client of the Realtime protocol might send, and many that none should: strategies made from the protocol's own types."""

import base64
import json
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent
from pydantic import BaseModel

EVENTS: tuple[type[BaseModel], ...] = get_args(get_args(RealtimeClientEvent)[0])
_NAMES = ("item_1", "item_2", "root", "", "resp_1")
_TEXTS = st.one_of(
    st.sampled_from((*_NAMES, "Hello.", "mistral-medium-latest", "gpt-realtime", "alloy", "x" * 3000, "ü\u0000\ud7ff", "null")),
    st.text(max_size=20),
)
_NUMBERS = st.one_of(st.integers(-10, 10_000), st.sampled_from((10**30, -(2**63), 2**64)))
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_AUDIO = st.one_of(
    st.sampled_from((0, 1, 2, 960, 4800, 48_000)).map(lambda size: base64.b64encode(bytes(size)).decode()), st.just("&&&"), _TEXTS
)


def any_message() -> st.SearchStrategy[str]:
    """Messages: mostly events with valid or nearly valid fields, some with fields of anything, some that are no JSON."""
    events = st.one_of([_event(kind) for kind in EVENTS])
    strange = st.dictionaries(_TEXTS, _ANYTHING, max_size=4).flatmap(
        lambda fields: st.sampled_from([_type_of(kind) for kind in EVENTS] + ["nonsense"]).map(lambda name: {**fields, "type": name})
    )
    whole = st.one_of(events, events, events, strange).map(json.dumps)
    return st.one_of(whole, whole, whole, whole, _broken(whole))


def _event(kind: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    return _model(kind, 0).map(lambda fields: {**fields, "type": _type_of(kind)})


def _type_of(kind: type[BaseModel]) -> str:
    return str(get_args(kind.model_fields["type"].annotation)[0])


def _model(kind: type[BaseModel], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    required = {name: field for name, field in kind.model_fields.items() if field.is_required()}
    optional = {name: field for name, field in kind.model_fields.items() if not field.is_required()}
    if depth > 5:
        optional = {}
    return st.fixed_dictionaries(
        {name: _field(name, field.annotation, depth) for name, field in required.items()},
        optional={name: _field(name, field.annotation, depth) for name, field in optional.items()},
    )


def _field(name: str, annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    if name == "audio" and annotation in (str, str | None):
        return _AUDIO
    return st.one_of(*[_value(annotation, depth)] * 8, _ANYTHING)


def _value(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _value(arguments[0], depth)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return st.one_of([_value(choice, depth) for choice in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_value(arguments[0], depth + 1), max_size=2)
    if origin is dict:
        return st.dictionaries(_TEXTS, _value(arguments[1], depth + 1), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.deferred(lambda: _model(annotation, depth + 1))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: _TEXTS,
        int: _NUMBERS,
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return simple.get(annotation, _ANYTHING)


@st.composite
def _broken(draw: st.DrawFn, whole: st.SearchStrategy[str]) -> str:
    text = draw(whole)
    cut = draw(st.integers(0, max(0, len(text) - 1)))
    return text[:cut] + draw(st.sampled_from(("", "}", '"', "\\u", "[" * 500))) + text[cut + 1 :]
