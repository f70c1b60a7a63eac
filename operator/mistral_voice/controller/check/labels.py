"""The API server's rules for labels and selectors, which CRD schemas can't express.

Source: k8s.io/apimachinery/pkg/util/validation and pkg/apis/core/validation.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from mistral_voice.contract.v1alpha1.pod import LabelSelector

Problem = tuple[str, str]
"""Where, below the object that was looked at, and what, as a sentence."""

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LONGEST_NAME = 63
_LONGEST_PREFIX = 253


def qualified(key: str) -> bool:
    """Tell whether a key of labels or annotations is well formed: a name, perhaps after a domain and a slash."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _LONGEST_PREFIX or _SUBDOMAIN.fullmatch(prefix) is None):
        return False
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def label_value(value: str) -> bool:
    """Tell whether a value of a label is well formed; an empty one is."""
    return not value or (len(value) <= _LONGEST_NAME and _NAME.fullmatch(value) is not None)


def label_problems(labels: Mapping[str, str] | None) -> Iterator[Problem]:
    """Yield what is wrong with a map of labels."""
    for key, value in (labels or {}).items():
        if not qualified(key):
            yield "", f"{key[:80]!r} is no label key: letters, digits, -, _ and ., perhaps after a domain and a slash."
        elif not label_value(value):
            yield (
                "",
                f"{value[:80]!r}, the value of {key!r}, is no label value: letters, digits, -, _ and ., ending with a letter or digit.",
            )


def annotation_problems(annotations: Mapping[str, str] | None) -> Iterator[Problem]:
    """Yield what is wrong with a map of annotations."""
    for key in annotations or {}:
        if not qualified(key.lower()):
            yield "", f"{key[:80]!r} is no annotation key: letters, digits, -, _ and ., perhaps after a domain and a slash."


def values_problem(operator: str, values: Sequence[str] | None) -> str | None:
    """Return what is wrong with the values of one requirement."""
    match operator:
        case "In" | "NotIn" if not values:
            return f"{operator} needs at least one value."
        case "Exists" | "DoesNotExist" if values:
            return f"{operator} takes no values."
        case "Gt" | "Lt" if not values or len(values) != 1 or not values[0].removeprefix("-").isdigit():
            return f"{operator} needs exactly one value, a whole number."
    if operator in ("In", "NotIn"):
        return next((f"{value[:80]!r} is no label value." for value in values or () if not label_value(value)), None)
    return None


def selector_problems(selector: LabelSelector | None) -> Iterator[Problem]:
    """Yield what is wrong with a label selector."""
    if selector is None:
        return
    yield from ((f".matchLabels{path}", message) for path, message in label_problems(selector.match_labels))
    for index, requirement in enumerate(selector.match_expressions or ()):
        place = f".matchExpressions[{index}]"
        if not qualified(requirement.key):
            yield f"{place}.key", f"{requirement.key[:80]!r} is no label key."
        elif (problem := values_problem(requirement.operator, requirement.values)) is not None:
            yield f"{place}.values", problem
