"""Parameters of requests: each is described once, and both read and documented by that."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_DATE: Final = r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class BadRequest(ValueError):
    """A request can't be used; the text says what is wrong with which parameter, and quotes nothing of it."""


class Place(StrEnum):
    """Where a parameter stands."""

    PATH = "path"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Text:
    """A parameter that is a text."""

    name: str
    description: str
    pattern: str = _NAME
    longest: int = 253
    place: Place = Place.QUERY
    required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    is_date: bool = False

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its values."""
        if self.choices:
            return {"type": "string", "enum": list(self.choices), **({"default": self.default} if self.default else {})}
        day = {"format": "date"} if self.is_date else {}
        return {"type": "string", "pattern": self.pattern, "minLength": 1, "maxLength": self.longest, **day}

    def read(self, text: str) -> str:
        """Return the value. Raises BadRequest."""
        if self.choices:
            if text not in self.choices:
                raise BadRequest(f"The parameter {self.name} must be one of {', '.join(self.choices)}.")
            return text
        if len(text) > self.longest or re.fullmatch(self.pattern, text, re.ASCII) is None or text.endswith("\n"):
            raise BadRequest(f"The parameter {self.name} must match {self.pattern} and have at most {self.longest} characters.")
        if self.is_date:
            try:
                date.fromisoformat(text)
            except ValueError:
                raise BadRequest(f"The parameter {self.name} must be a day that the calendar has.") from None
        return text


@dataclass(frozen=True, slots=True)
class Whole:
    """A parameter that is a whole number."""

    name: str
    description: str
    least: int
    most: int
    default: int
    place: Place = Place.QUERY
    required: bool = False

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its values."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "default": self.default}

    def read(self, text: str) -> int:
        """Return the value. Raises BadRequest."""
        if re.fullmatch(r"0|[1-9][0-9]{0,17}", text, re.ASCII) is None or not self.least <= int(text) <= self.most:
            raise BadRequest(f"The parameter {self.name} must be a whole number from {self.least} to {self.most}.")
        return int(text)


Parameter = Text | Whole


@dataclass(frozen=True, slots=True)
class Asked:
    """The values of a request's parameters; one that was not given has its default, a text none ("")."""

    texts: Mapping[str, str] = field(default_factory=dict)
    wholes: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.texts[name]


def read(parameters: Sequence[Parameter], path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> Asked:
    """Return the values of all parameters. Raises BadRequest for one that is unknown, given twice, missing or out of bounds."""
    known = {parameter.name: parameter for parameter in parameters if parameter.place is Place.QUERY}
    given: dict[str, str] = dict(path)
    for name, value in query:
        if name not in known:
            raise BadRequest(f"There is a parameter that is not known here; those that are: {', '.join(known) or 'none'}.")
        if name in given:
            raise BadRequest(f"The parameter {name} is given twice.")
        given[name] = value
    missing = [parameter.name for parameter in parameters if parameter.required and parameter.name not in given]
    if missing:
        raise BadRequest(f"These parameters are needed: {', '.join(missing)}.")
    texts: dict[str, str] = {}
    wholes: dict[str, int] = {}
    for parameter in parameters:
        text: str | None = given.get(parameter.name)
        if isinstance(parameter, Whole):
            wholes[parameter.name] = parameter.default if text is None else parameter.read(text)
        else:
            texts[parameter.name] = parameter.default if text is None else parameter.read(text)
    return Asked(texts, wholes)


PLAN: Final = Text("plan", "Name of a MistralVoicePlan.", place=Place.PATH, required=True)
POOL: Final = Text("pool", "Name of a MistralKeyPool.", place=Place.PATH, required=True)
NAMESPACE: Final = Text("namespace", "A tenant's namespace.", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63, place=Place.PATH, required=True)
OF_NAMESPACE: Final = Text("namespace", "Only what concerns this namespace.", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63)
OF_INTEGRATION: Final = Text("integration", "Only what concerns integrations of this name.", longest=63)
AFTER_NAME: Final = Text("cursor", "Go on after here: `next` of the page before.", longest=253)
AFTER_TENANT: Final = Text(
    "cursor",
    "Go on after here: `next` of the page before, which was sorted the same way.",
    r"^([0-9]{1,18}/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
    272,
)
SORT: Final = Text(
    "sort",
    "By name, or by what is used or held of the present period, the most first.",
    choices=("name", "sessions", "sessionMs", "microUnits"),
    default="name",
)
CONTAINING: Final = Text("containing", "Only namespaces whose name contains this.", r"^[-a-z0-9]+$", 63)
AFTER_INTEGRATION: Final = Text("cursor", "Go on after here: `next` of the page before.", r"^[a-z0-9][-a-z0-9.]*/[a-z0-9][-a-z0-9.]*$", 320)
AFTER_SESSION: Final = Text("cursor", "Go on after here: `next` of the page before.", r"^[A-Za-z0-9_-]{1,64}/[1-9][0-9]{0,6}$", 72)
BEFORE_ENTRY: Final = Text("cursor", "Go on after here: `next` of the page before.", r"^[1-9][0-9]{0,17}$", 18)
LIMIT: Final = Whole("limit", "Items of a page.", 1, 500, 100)
FROM_DAY: Final = Text("from", "First day (UTC).", _DATE, 10, required=True, is_date=True)
TO_DAY: Final = Text("to", "The day after the last (UTC); at most 31 days after `from`.", _DATE, 10, required=True, is_date=True)
