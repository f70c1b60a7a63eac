"""Writes docs/reference.md from the CustomResourceDefinitions: `python -m mistral_voice.contract.reference`.

It takes what `mistral_voice.contract.crd` wrote, so it says what the API server goes by: each field's type, default, bounds and meaning,
and the sentences with which the API server refuses what breaks a rule.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mistral_voice.contract.v1alpha1.base import DNS_1123_SUBDOMAIN

_INTRODUCTION = """\
<!-- Generated from crds/ by `make generate`. Do not edit. -->
# Reference of the custom resources

Every field, as `kubectl explain` has it. *Default* is what the API server fills in; what the operator takes for a field that is not set is
part of its meaning. An unknown field is refused by `kubectl apply`, and dropped where a client does not ask for strict validation.
"""
_PATTERNS = {
    DNS_1123_SUBDOMAIN: "the name of an object: lower-case letters, digits, `-` and `.`",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "lower-case letters, digits and `-`",
    r"^[-._a-zA-Z0-9]+$": "letters, digits, `-`, `_` and `.`",
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": "a host name, perhaps beginning with `*.`",
    r"^([0-9]+|[0-9]*\.[0-9]+|[0-9]+\.)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$": "a quantity",
    r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$": "`http://` or `https://`, a host, perhaps a port",
}
"""What patterns mean to a reader. One that is not here is shown as it is."""

Schema = Mapping[str, Any]


def reference(crds: Sequence[Schema]) -> str:
    """Return the page that describes these CustomResourceDefinitions, in Markdown: tenants' resources first."""
    ordered = sorted(crds, key=lambda crd: (crd["spec"]["scope"] != "Namespaced", crd["spec"]["names"]["kind"]))
    return "\n".join([_INTRODUCTION, *(line for crd in ordered for line in _resource(crd))]).rstrip("\n") + "\n"


def _resource(crd: Schema) -> Iterator[str]:
    spec = crd["spec"]
    names, version = spec["names"], spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    yield f"## {names['kind']}"
    yield ""
    yield schema["description"]
    yield ""
    short = ", ".join(f"`{name}`" for name in names.get("shortNames", []))
    yield f"`apiVersion: {spec['group']}/{version['name']}`, {spec['scope'].lower()}" + (f", short name {short}." if short else ".")
    yield ""
    yield from _rules(schema)
    described: dict[str, str] = {}
    for part in ("spec", "status"):
        if part in schema["properties"]:
            yield from _object(part, schema["properties"][part], described)


def _object(path: str, schema: Schema, described: dict[str, str]) -> Iterator[str]:
    """Describe an object, then those in it. Objects with the same fields are described once: `described` has the place."""
    yield f"### {path}"
    yield ""
    if description := schema.get("description"):
        yield description
        yield ""
    shape = json.dumps([schema["properties"], schema.get("required"), schema.get("x-kubernetes-validations")], sort_keys=True)
    if (place := described.setdefault(shape, path)) != path:
        yield f"The same fields as `{place}`."
        yield ""
        return
    required = frozenset(schema.get("required", []))
    yield "| Field | Type | Default | Bounds | Meaning |"
    yield "|---|---|---|---|---|"
    for name, field in schema["properties"].items():
        default = "*required*" if name in required else _default(field)
        yield f"| `{name}` | {_type(field)} | {default} | {_cell(_bounds(field))} | {_cell(field.get('description', ''))} |"
    yield ""
    yield from _rules(schema)
    for name, field in schema["properties"].items():
        inner, place = (field["items"], f"{path}.{name}[]") if field.get("type") == "array" else (field, f"{path}.{name}")
        if "properties" in inner:
            yield from _object(place, {**inner, "description": field.get("description", "")}, described)


def _rules(schema: Schema) -> Iterator[str]:
    """Give the API server's sentences about an object and its plain values; those about objects in it stand with these."""
    sentences = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    for name, field in schema["properties"].items():
        value = field.get("items", field)
        if "properties" not in value:
            sentences += [f"`{name}`: {rule['message']}" for rule in value.get("x-kubernetes-validations", ())]
    if sentences:
        yield "Refused by the API server, in these words:"
        yield ""
        yield from (f"- {sentence}" for sentence in sentences)
        yield ""


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(values := field.get("additionalProperties"), dict):
        return f"map of {_type(values)}"
    return "time" if field.get("format") == "date-time" else str(field.get("type", "any"))


def _default(field: Schema) -> str:
    default = field.get("default")
    return "" if default is None or default in ({}, []) else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _bounds(field: Schema) -> str:
    if field.get("type") == "array":
        return _joined(_range(field, "minItems", "maxItems", " items"), _each(field["items"]))
    if isinstance(values := field.get("additionalProperties"), dict):
        return _joined(_range(field, "minProperties", "maxProperties", " entries"), _each(values))
    return _joined(
        ", ".join(f"`{value}`" for value in field.get("enum", [])),
        _range(field, "minimum", "maximum"),
        _range(field, "minLength", "maxLength", " characters"),
        _pattern(field.get("pattern")),
    )


def _each(item: Schema) -> str:
    bounds = "" if "properties" in item else _bounds(item)
    return f"each: {bounds}" if bounds else ""


def _range(field: Schema, least: str, most: str, unit: str = "") -> str:
    low, high = field.get(least), field.get(most)
    if low is not None and high is not None:
        return f"{low} to {high}{unit}"
    if high is not None:
        return f"at most {high}{unit}"
    return f"at least {low}{unit}" if low is not None else ""


def _pattern(pattern: str | None) -> str:
    return _PATTERNS.get(pattern, f"`{pattern}`") if pattern else ""


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page from the CRDs of a folder, or with `--check` only tell whether it is up to date."""
    parser = argparse.ArgumentParser(description="Write the reference of the custom resources.")
    parser.add_argument("--crds", type=Path, default=Path("crds"), help="folder of the CustomResourceDefinitions")
    parser.add_argument("--page", type=Path, default=Path("docs/reference.md"), help="the page")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is missing or differs")
    options = parser.parse_args(argv)
    text = reference([yaml.safe_load(path.read_text()) for path in sorted(options.crds.glob("*.yaml"))])
    if options.page.exists() and options.page.read_text() == text:
        return 0
    if options.check:
        sys.stderr.write(f"{options.page}: not what {options.crds} says. Run `make generate` and commit the result.\n")
        return 1
    options.page.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
