"""What may be added to gateway pods, held against the API server's rules, so that it never refuses half of a change."""

from collections.abc import Iterator

from mistral_voice.contract.v1alpha1.pod import (
    Affinity,
    GatewayTemplate,
    NodeAffinity,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    Toleration,
    TopologySpreadConstraint,
)
from mistral_voice.controller.check.finding import Finding, invalid
from mistral_voice.controller.check.labels import (
    Problem,
    annotation_problems,
    label_problems,
    label_value,
    qualified,
    selector_problems,
    values_problem,
)
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import Reason

_LONGEST_NAMESPACE = 63


def template_acceptable(known: Input) -> Finding | None:
    """Find the first thing in the template that the API server would refuse."""
    template = known.valid_spec.gateway.template
    problem = None if template is None else next(_template_problems(template), None)
    if problem is None:
        return None
    path, message = problem
    return invalid(Reason.INVALID_POD_TEMPLATE, f"spec.gateway.template{path}", message, "Correct the field and apply the resource again.")


def _template_problems(template: GatewayTemplate) -> Iterator[Problem]:
    yield from _below(".labels", label_problems(template.labels))
    yield from _below(".annotations", annotation_problems(template.annotations))
    yield from _below(".nodeSelector", label_problems(template.node_selector))
    for index, toleration in enumerate(template.tolerations or ()):
        yield from _below(f".tolerations[{index}]", _toleration_problems(toleration))
    yield from _below(".topologySpreadConstraints", _spread_problems(template.topology_spread_constraints or ()))
    if template.affinity is not None:
        yield from _below(".affinity", _affinity_problems(template.affinity))


def _below(place: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    return ((f"{place}{path}", message) for path, message in problems)


def _toleration_problems(toleration: Toleration) -> Iterator[Problem]:
    if toleration.key and not qualified(toleration.key):
        yield ".key", f"{toleration.key[:80]!r} is no taint key."
    if not toleration.key and toleration.operator != "Exists":
        yield ".operator", "Without a key the operator must be Exists, which tolerates every taint."
    if toleration.operator == "Exists" and toleration.value:
        yield ".value", "With the operator Exists there can be no value."
    if toleration.operator != "Exists" and not label_value(toleration.value or ""):
        yield ".value", f"{(toleration.value or '')[:80]!r} is no taint value."
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        yield ".effect", "tolerationSeconds needs the effect NoExecute."


def _spread_problems(constraints: tuple[TopologySpreadConstraint, ...]) -> Iterator[Problem]:
    seen = set()
    for index, constraint in enumerate(constraints):
        place = f"[{index}]"
        if not qualified(constraint.topology_key):
            yield f"{place}.topologyKey", f"{constraint.topology_key[:80]!r} is no label key."
        if (pair := (constraint.topology_key, constraint.when_unsatisfiable)) in seen:
            yield place, "There is another constraint with the same topologyKey and whenUnsatisfiable."
        seen.add(pair)
        if constraint.min_domains is not None and constraint.when_unsatisfiable != "DoNotSchedule":
            yield f"{place}.minDomains", "minDomains needs whenUnsatisfiable: DoNotSchedule."
        yield from _below(f"{place}.labelSelector", selector_problems(constraint.label_selector))


def _affinity_problems(affinity: Affinity) -> Iterator[Problem]:
    if affinity.node_affinity is not None:
        yield from _below(".nodeAffinity", _node_affinity_problems(affinity.node_affinity))
    for name, pods in (("podAffinity", affinity.pod_affinity), ("podAntiAffinity", affinity.pod_anti_affinity)):
        if pods is not None:
            yield from _below(f".{name}", _pod_affinity_problems(pods))


def _node_affinity_problems(affinity: NodeAffinity) -> Iterator[Problem]:
    required = affinity.required_during_scheduling_ignored_during_execution
    for index, term in enumerate(required.node_selector_terms if required is not None else ()):
        yield from _below(f".requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]", _node_term_problems(term))
    for index, preferred in enumerate(affinity.preferred_during_scheduling_ignored_during_execution or ()):
        place = f".preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
        yield from _below(place, _node_term_problems(preferred.preference))


def _node_term_problems(term: NodeSelectorTerm) -> Iterator[Problem]:
    for index, requirement in enumerate(term.match_expressions or ()):
        place = f".matchExpressions[{index}]"
        if not qualified(requirement.key):
            yield f"{place}.key", f"{requirement.key[:80]!r} is no label key."
        elif (problem := values_problem(requirement.operator, requirement.values)) is not None:
            yield f"{place}.values", problem
    for index, requirement in enumerate(term.match_fields or ()):
        place = f".matchFields[{index}]"
        if requirement.key != "metadata.name":
            yield f"{place}.key", "The only field that can be matched is metadata.name."
        elif requirement.operator not in ("In", "NotIn") or len(requirement.values or ()) != 1:
            yield f"{place}.values", "metadata.name takes In or NotIn with exactly one value."


def _pod_affinity_problems(affinity: PodAffinity) -> Iterator[Problem]:
    for index, term in enumerate(affinity.required_during_scheduling_ignored_during_execution or ()):
        yield from _below(f".requiredDuringSchedulingIgnoredDuringExecution[{index}]", _pod_term_problems(term))
    for index, preferred in enumerate(affinity.preferred_during_scheduling_ignored_during_execution or ()):
        place = f".preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm"
        yield from _below(place, _pod_term_problems(preferred.pod_affinity_term))


def _pod_term_problems(term: PodAffinityTerm) -> Iterator[Problem]:
    if not qualified(term.topology_key):
        yield ".topologyKey", f"{term.topology_key[:80]!r} is no label key."
    for index, namespace in enumerate(term.namespaces or ()):
        if "." in namespace or len(namespace) > _LONGEST_NAMESPACE:
            yield f".namespaces[{index}]", f"{namespace[:80]!r} is no name of a namespace."
    yield from _below(".labelSelector", selector_problems(term.label_selector))
    yield from _below(".namespaceSelector", selector_problems(term.namespace_selector))
