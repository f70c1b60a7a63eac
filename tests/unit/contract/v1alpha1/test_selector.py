"""A plan's owner says by labels of namespaces who may claim it."""

from typing import Any

import pytest
from pydantic import ValidationError

from mistral_voice.contract.v1alpha1.selector import NamespaceSelector

SUPPORT = {"kubernetes.io/metadata.name": "support", "tier": "gold"}


def selector(**parts: Any) -> NamespaceSelector:
    return NamespaceSelector.model_validate(parts)


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


@pytest.mark.parametrize(
    ("requirement", "met"),
    [
        (expression("kubernetes.io/metadata.name", "In", "sales", "support"), True),
        (expression("kubernetes.io/metadata.name", "In", "sales"), False),
        (expression("absent", "In", "x"), False),
        (expression("tier", "NotIn", "gold"), False),
        (expression("absent", "NotIn", "gold"), True),
        (expression("tier", "Exists"), True),
        (expression("absent", "Exists"), False),
        (expression("tier", "DoesNotExist"), False),
        (expression("absent", "DoesNotExist"), True),
    ],
)
def test_operators_mean_what_kubernetes_means(requirement: dict[str, Any], met: bool) -> None:
    assert selector(matchExpressions=[requirement]).matches(SUPPORT) is met


def test_all_that_is_said_must_hold() -> None:
    both = selector(matchLabels={"tier": "gold"}, matchExpressions=[expression("kubernetes.io/metadata.name", "In", "support")])
    assert both.matches(SUPPORT)
    assert not both.matches(SUPPORT | {"tier": "silver"})
    assert not both.matches(SUPPORT | {"kubernetes.io/metadata.name": "sales"})


def test_a_namespace_without_labels_consents_to_nothing() -> None:
    assert not selector(matchLabels={"tier": "gold"}).matches({})


@pytest.mark.parametrize("parts", [{}, {"matchLabels": {}}, {"matchLabels": {}, "matchExpressions": []}])
def test_all_namespaces_must_be_meant(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="would match every namespace"):
        selector(**parts)
    assert selector(matchExpressions=[expression("kubernetes.io/metadata.name", "Exists")]).matches(SUPPORT)


@pytest.mark.parametrize("wrong", [expression("a", "In"), expression("a", "NotIn"), expression("a", "Exists", "x")])
def test_values_go_with_the_operators_that_compare(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="In and NotIn need values"):
        selector(matchExpressions=[wrong])
