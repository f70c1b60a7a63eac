"""Which namespaces a plan is offered to: a label selector that must say something."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mistral_voice.contract.v1alpha1.base import ResourceModel, Rule

LabelKey = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=317, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
    ),
]
LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]


class LabelRequirement(ResourceModel):
    """One requirement on a namespace's labels."""

    key: LabelKey
    """Name of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label relates to the values."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=256)] = ()
    """Values for In and NotIn; none for Exists and DoesNotExist."""

    rules = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
            "In and NotIn need values; Exists and DoesNotExist take none",
            lambda r: bool(r.values) is (r.operator in ("In", "NotIn")),
        ),
    )

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet the requirement, as Kubernetes has it: NotIn is met by a label that is absent."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class NamespaceSelector(ResourceModel):
    """Namespaces by their labels; all that is said must hold.

    Of the labels only `kubernetes.io/metadata.name`, which the API server sets, is safe where tenants may change their namespace's labels.
    """

    match_labels: Annotated[dict[str, LabelValue], Field(default_factory=dict, max_length=32)]
    """Labels that a namespace must bear."""
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=32)] = ()
    """Requirements on a namespace's labels."""

    rules = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "an empty namespaceSelector would match every namespace: name them by kubernetes.io/metadata.name, or mean all of them with "
            "operator Exists",
            lambda s: bool(s.match_labels or s.match_expressions),
        ),
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace that bears these labels is meant."""
        named = all(labels.get(key) == value for key, value in self.match_labels.items())
        return named and all(requirement.met_by(labels) for requirement in self.match_expressions)
