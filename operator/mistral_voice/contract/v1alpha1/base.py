"""What all models of resources share: camelCase on the wire, frozen, unknown fields refused, and rules that hold in CEL and in Python."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Rule:
    """One rule across fields: the CEL expression that the API server runs, the sentence it answers with, and the same rule in Python.

    `holds` gets the model instance. A transition rule (one that uses `oldSelf`) has no Python half: the operator sees one state at a time.
    `field` is the field's wire name that the server reports as the place, if it is not the whole object.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None = None
    field: str | None = None

    def as_schema(self) -> dict[str, str]:
        """Return the rule as an entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        if self.field is not None:
            entry["fieldPath"] = f".{self.field}"
        return entry


class ResourceModel(BaseModel):
    """Base of every part of a resource."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", use_attribute_docstrings=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                raise PydanticCustomError("rule", "{sentence}", {"sentence": rule.message})
        return self


def _json_integer(value: object) -> object:
    # The API server takes 600 and 600.0, never "600" or true; Pydantic's lax mode would take all four.
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "Input should be a whole number")
    return value


def _json_boolean(value: object) -> object:
    if not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "Input should be true or false")
    return value


Integer = Annotated[int, BeforeValidator(_json_integer)]
Boolean = Annotated[bool, BeforeValidator(_json_boolean)]

DNS_1123_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=DNS_1123_SUBDOMAIN)]
"""The name of another object: a DNS-1123 subdomain."""
SecretKey = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a Secret's data."""
Host = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]
"""A host name, perhaps with a leading wildcard label."""
LabelMap = Annotated[dict[str, Annotated[str, StringConstraints(max_length=63)]], Field(max_length=32)]
"""Labels. CRD schemas can't bound keys; the API server refuses bad ones when they reach the object."""
AnnotationMap = Annotated[dict[str, Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=32)]
"""Annotations."""
