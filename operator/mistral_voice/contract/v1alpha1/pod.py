"""The closed list of what a tenant may set on gateway pods, in Kubernetes' own words (core/v1), bounded."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mistral_voice.contract.v1alpha1.base import AnnotationMap, Integer, LabelMap, ObjectName, ResourceModel, Rule

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
_QUANTITY = r"^([0-9]+|[0-9]*\.[0-9]+|[0-9]+\.)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Quantity = Annotated[
    Annotated[Integer, Field(ge=0)] | Annotated[str, StringConstraints(max_length=32, pattern=_QUANTITY)],
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]


class ResourceList(ResourceModel):
    """Amounts of compute resources, as Kubernetes quantities."""

    cpu: Quantity | None = None
    """CPU in cores, such as 100m."""
    memory: Quantity | None = None
    """Memory in bytes, such as 192Mi."""
    ephemeral_storage: Annotated[Quantity | None, Field(alias="ephemeral-storage")] = None
    """Node-local storage in bytes."""


class ResourceRequirements(ResourceModel):
    """Compute resources of the gateway container."""

    requests: ResourceList | None = None
    """What is reserved for the container: cpu, memory, ephemeral-storage."""
    limits: ResourceList | None = None
    """What the container may use at most. A CPU limit is not advised: throttling ruins the latency of voices."""


class Toleration(ResourceModel):
    """A taint that the pod tolerates."""

    key: LabelKey | None = None
    """Taint key; empty with operator Exists matches all."""
    operator: Literal["Exists", "Equal"] | None = None
    """How key and value are compared; Equal if unset."""
    value: LabelValue | None = None
    """Taint value that the toleration matches."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect to match; unset matches all."""
    toleration_seconds: Integer | None = None
    """For NoExecute: how long the pod stays, in seconds."""


class LabelSelectorRequirement(ResourceModel):
    """One requirement on labels."""

    key: LabelKey
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the values are compared."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=16)] | None = None
    """Values for In and NotIn."""


class LabelSelector(ResourceModel):
    """A selection of objects by their labels."""

    match_labels: LabelMap | None = None
    """Labels that must be there with these values."""
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=8)] | None = None
    """Requirements that must all hold."""


class TopologySpreadConstraint(ResourceModel):
    """How pods spread over nodes or zones."""

    max_skew: Annotated[Integer, Field(ge=1, le=100)]
    """How uneven the spread may be, in pods."""
    topology_key: LabelKey
    """Node label that names a domain, such as topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """What to do when the constraint can't be met."""
    label_selector: LabelSelector | None = None
    """Pods that are counted; the gateway's own if unset."""
    min_domains: Annotated[Integer, Field(ge=1, le=100)] | None = None
    """Least number of domains; only with DoNotSchedule."""


class NodeSelectorRequirement(ResourceModel):
    """One requirement on a node's labels."""

    key: LabelKey
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the values are compared."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=16)] | None = None
    """Values for In, NotIn, Gt and Lt."""


class NodeSelectorTerm(ResourceModel):
    """Requirements on a node that must all hold."""

    match_expressions: Annotated[tuple[NodeSelectorRequirement, ...], Field(max_length=8)] | None = None
    """Requirements on the node's labels."""
    match_fields: Annotated[tuple[NodeSelectorRequirement, ...], Field(max_length=8)] | None = None
    """Requirements on the node's fields."""


class NodeSelector(ResourceModel):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=8)]
    """Terms, joined by or."""


class PreferredSchedulingTerm(ResourceModel):
    """A preferred node."""

    weight: Annotated[Integer, Field(ge=1, le=100)]
    """1 to 100."""
    preference: NodeSelectorTerm
    """The preferred node's properties."""


class NodeAffinity(ResourceModel):
    """Which nodes the pod wants."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Must hold when the pod is scheduled."""
    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[PreferredSchedulingTerm, ...], Field(max_length=8)] | None = None
    """Preferred when the pod is scheduled."""


class PodAffinityTerm(ResourceModel):
    """Pods to be near to, or apart from."""

    label_selector: LabelSelector | None = None
    """The pods meant."""
    topology_key: LabelKey
    """Node label that says what near means."""
    namespaces: Annotated[tuple[ObjectName, ...], Field(max_length=16)] | None = None
    """Namespaces of the pods meant; the integration's own if unset."""
    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods meant, by label."""


class WeightedPodAffinityTerm(ResourceModel):
    """A weighted preference."""

    weight: Annotated[Integer, Field(ge=1, le=100)]
    """1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """The preference."""


class PodAffinity(ResourceModel):
    """Pods to be near to (or, as anti-affinity, apart from)."""

    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodAffinityTerm, ...], Field(max_length=8)] | None = None
    """Must hold when the pod is scheduled."""
    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[WeightedPodAffinityTerm, ...], Field(max_length=8)] | None = None
    """Preferred when the pod is scheduled."""


class Affinity(ResourceModel):
    """Where gateway pods go."""

    node_affinity: NodeAffinity | None = None
    """Which nodes."""
    pod_affinity: PodAffinity | None = None
    """Near which pods."""
    pod_anti_affinity: PodAffinity | None = None
    """Apart from which pods."""


class LocalObjectReference(ResourceModel):
    """An object in the integration's namespace."""

    name: ObjectName
    """Name of the object."""


_RESERVED = ("voice.contractspec.io/", "app.kubernetes.io/")


def _no_reserved_keys(labels: dict[str, str] | None) -> bool:
    return not any(key.startswith(_RESERVED) for key in labels or {})


class GatewayTemplate(ResourceModel):
    """What may be added to gateway pods: a closed list."""

    labels: LabelMap | None = None
    """Labels added to the pods."""
    annotations: AnnotationMap | None = None
    """Annotations added to the pods."""
    node_selector: LabelMap | None = None
    """Node labels that the pods need."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] | None = None
    """Taints that the pods tolerate."""
    affinity: Affinity | None = None
    """Where the pods go."""
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=8)] | None = None
    """How the pods spread; over nodes, as far as possible, if unset."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=8)] | None = None
    """Secrets with which the gateway's image is pulled."""

    rules = (
        Rule(
            "!has(self.labels) || self.labels.all(k, !k.startsWith('voice.contractspec.io/') && !k.startsWith('app.kubernetes.io/'))",
            "labels that begin with voice.contractspec.io/ or app.kubernetes.io/ belong to the operator: choose another prefix",
            lambda t: _no_reserved_keys(t.labels),
            field="labels",
        ),
        Rule(
            "!has(self.annotations) || self.annotations.all(k, !k.startsWith('voice.contractspec.io/'))",
            "annotations that begin with voice.contractspec.io/ belong to the operator: choose another prefix",
            lambda t: not any(key.startswith("voice.contractspec.io/") for key in t.annotations or {}),
            field="annotations",
        ),
    )
