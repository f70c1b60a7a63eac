"""Specs from the CRD's schema and around its edges, as hypothesis strategies."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from mistral_voice.contract.crd import integration_crd

Schema = Mapping[str, Any]

SPEC_SCHEMA: Schema = integration_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

_WORDS = (
    "a",
    "mistral",
    "mistral-medium-latest",
    "default",
    "voice_478",
    "a.b",
    "x" * 63,
    "app.kubernetes.io/name",
    "https://a.example",
    "100m",
)
_ODD_TEXTS = (
    "",
    " ",
    "\t",
    "\n",
    "a\n",
    "\na",
    "a b",
    "é",
    "日本語",
    "a\u0000b",
    "A",
    "-a",
    "a-",
    "a..b",
    "1",
    "*.a",
    "😀" * 40,
    "null",
    "true",
)
_ODD_NUMBERS = (-1, 0, 1, 1.0, 1.5, 600.0, -0.0, 1e300, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63))
_ODD_VALUES: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], {"": ""}, {"a": None}, ["a", "a"], *_ODD_TEXTS, *_ODD_NUMBERS)
_NAMES = ("a", "voice-1", "x" * 40, "x" * 41, "1voice", "voice.one", "Voice", "voice-", "-voice", "vo--ice", "x" * 253)


def integrations(count: int) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Return a strategy of so many names and specs: some specs keep to the schema, the others leave it at one or two places.

    hypothesis draws the chance alone: drawn field by field, ten thousand specs of this size would take minutes.
    """
    return st.randoms(use_true_random=True).map(lambda chance: [_integration(chance) for _ in range(count)])


def _integration(chance: Random) -> tuple[str, Any]:
    spec: Any = _value(chance, SPEC_SCHEMA, 0)
    mode = chance.choice(("byok", "byok", "byok", "managed", None))
    if mode is not None:
        for field in ("planRef", "secretRef", "endpoint"):
            spec.pop(field, None)
        reference = "secretRef" if mode == "byok" else "planRef"
        spec |= {"mode": mode, reference: {"name": "mistral"}}
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        spec = changed(chance, spec, SPEC_SCHEMA)
    return chance.choice(("generated",) * 30 + _NAMES), spec


def _value(chance: Random, schema: Schema, depth: int) -> Any:
    if "enum" in schema:
        return chance.choice(schema["enum"])
    if "anyOf" in schema:
        return chance.choice((0, 1, "100m", "1.5", "1Gi", ".5", "5.", "0", "2Ei"))
    kind = schema["type"]
    if kind == "integer":
        low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31)
        return chance.choice((low, low + 1, (low + high) // 2, high))
    if kind == "boolean":
        return chance.random() < 0.5
    if kind == "string":
        return chance.choice(_WORDS)
    if kind == "array":
        count = chance.randint(schema.get("minItems", 0), 2)
        return [_value(chance, schema["items"], depth + 1) for _ in range(count)]
    if "additionalProperties" in schema:
        return {key: _value(chance, schema["additionalProperties"], depth + 1) for key in _few(chance, _WORDS, 2)}
    chosen = {*schema.get("required", ()), *_few(chance, tuple(schema["properties"]), 4 if depth < 2 else 2)}
    return {name: _value(chance, schema["properties"][name], depth + 1) for name in sorted(chosen)}


def _few(chance: Random, names: Sequence[str], most: int) -> list[str]:
    return chance.sample(names, chance.randint(0, min(most, len(names))))


def changed(chance: Random, spec: Any, schema: Schema) -> Any:
    """Return a spec with one place of it at an edge of its schema, or beyond."""
    places = list(_places(spec, schema, ()))
    path, schema = chance.choice(places)
    what = chance.choice(("edge", "edge", "odd", "odd", "absent", "unknown", "huge"))
    if what == "absent" and path:
        return _with(spec, path, _ABSENT)
    if what == "unknown":
        present = _at(spec, path)
        return _with(
            spec, path, {**present, chance.choice(("unknown", "apiKey", "$ref", "")): 1} if isinstance(present, dict) else {"x": 1}
        )
    if what == "huge":
        return _with(spec, path, chance.choice(_huge(schema)))
    return _with(spec, path, chance.choice(_edges(schema) if what == "edge" else _ODD_VALUES))


def _edges(schema: Schema) -> tuple[Any, ...]:
    """Return values at a schema's bounds and one beyond."""
    kind = schema.get("type")
    if kind == "integer":
        low, high = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
        return (low - 1, low, high, high + 1, float(low), str(low))
    if kind == "string" and "enum" not in schema:
        most = schema.get("maxLength", 64)
        return ("", "a", "a" * most, "a" * (most + 1), "é" * most, "é" * (most + 1), "a" * (most - 1) + "\n", *_ODD_TEXTS)
    if kind == "array":
        most, item = schema.get("maxItems", 8), _plain(schema["items"])
        return ([], [item], [item] * most, [item] * (most + 1), [None], item)
    if "additionalProperties" in schema:
        most = schema.get("maxProperties", 32)
        return ({f"k{number}": "v" for number in range(most)}, {f"k{number}": "v" for number in range(most + 1)}, {"a": ""}, {"": "a"})
    return _ODD_VALUES


def _huge(schema: Schema) -> tuple[Any, ...]:
    if schema.get("type") == "array":
        return ([_plain(schema["items"])] * 2000,)
    return ({f"key-{number}": "v" * 20 for number in range(2000)}, "v" * 50_000, [0] * 5000)


def _plain(schema: Schema) -> Any:
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: _plain(schema["properties"][name]) for name in schema.get("required", ())}
    return {"integer": 1, "boolean": True, "array": []}.get(str(kind), "a")


_ABSENT: Any = object()


def _places(value: Any, schema: Schema, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Schema]]:
    yield path, schema
    if isinstance(value, dict):
        for name, inner in value.items():
            below = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if below:
                yield from _places(inner, below, (*path, name))
    elif isinstance(value, list) and "items" in schema:
        for number, inner in enumerate(value):
            yield from _places(inner, schema["items"], (*path, number))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with another value at a place, or nothing there."""
    if not path:
        return new
    step, *rest = path
    changed = _ABSENT if new is _ABSENT and not rest else _with(value[step], tuple(rest), new)
    if isinstance(value, list):
        return [changed if number == step else item for number, item in enumerate(value) if not (number == step and changed is _ABSENT)]
    return {name: item for name, item in {**value, step: changed}.items() if item is not _ABSENT}
