"""What a client got wrong in the form of its JSON, as a sentence: which field, and what it must be."""

import re
from difflib import get_close_matches

import msgspec
from msgspec import Struct

_KINDS = {
    "object": "an object",
    "array": "a list",
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "bytes": "a string of base64",
}
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]+)`")
_KIND = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_BOUND = re.compile(r"Expected `(?P<kind>\w+)` (?P<length>of length )?(?P<sign>[<>]=) (?P<bound>\d+)")
_BASE64 = "Invalid base64 encoded string"
_BOUNDS = {"<=": "at most", ">=": "at least"}
_UNITS = {"str": "characters", "array": "entries", "object": "entries", "bytes": "bytes"}
_FORMER = {
    "transcription_session.update": "`session.update` with the `type` transcription",
    "response.audio.clear": "`response.cancel`",
}
_LONGEST_NAME = 64
_SIMILARITY = 0.75


class Misfit(Struct, frozen=True):
    """Its code in the protocol, a sentence, and the path of the field; None if it is the whole that does not fit."""

    code: str
    message: str
    param: str | None


def misfit_of(error: msgspec.ValidationError) -> Misfit:
    """Return what a client is told of JSON that has another form than it should."""
    said, _, place = str(error).partition(" - at `$")
    path = place.removesuffix("`").removeprefix(".")
    if missing := _MISSING.fullmatch(said):
        field = f"{path}.{missing['field']}".removeprefix(".")
        return Misfit("missing_required_parameter", f"`{field}` is missing.", field)
    if unknown := _UNKNOWN.fullmatch(said):
        field = f"{path}.{unknown['field'][:_LONGEST_NAME]}".removeprefix(".")
        return Misfit("unknown_parameter", f"There is no `{field}`.", field)
    subject = f"`{path}`" if path else "It"
    return Misfit("invalid_value", f"{subject} {_demand(said)}", path or None)


def unknown_event(name: str, known: frozenset[str]) -> str:
    """Return the sentence for an event that there isn't, with the one that was probably meant."""
    former = _FORMER.get(name)
    close = get_close_matches(name[:_LONGEST_NAME], sorted(known), n=1, cutoff=_SIMILARITY)
    if former:
        advice = f"Send {former}."
    elif close:
        advice = f"Did you mean `{close[0]}`?"
    else:
        advice = f"There are {', '.join(sorted(known))}."
    return f"There is no client event of the type {name[:100]!r}. {advice}"


def _demand(said: str) -> str:
    if kind := _KIND.fullmatch(said):
        wanted = [_KINDS.get(name, name) for name in kind["wanted"].split(" | ")]
        return f"must be {' or '.join(wanted)}, not {_KINDS.get(kind['got'], kind['got'])}."
    if bound := _BOUND.fullmatch(said):
        limit = f"{_BOUNDS[bound['sign']]} {bound['bound']}"
        return f"must have {limit} {_UNITS.get(bound['kind'], 'entries')}." if bound["length"] else f"must be {limit}."
    if said == _BASE64:
        return "must be base64."
    return f"can't be used: {said}."
