"""The PodDisruptionBudget: voluntary disruptions take one pod at a time."""

from mistral_voice.controller.build.common import Child, child, selector_labels
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import POD_DISRUPTION_BUDGET


def pod_disruption_budget(known: Input) -> Child:
    """Return the budget. With one replica it blocks nothing, and a pod that is not ready never holds up a node's drain."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector_labels(known.name)},
    }
    return child(POD_DISRUPTION_BUDGET, known, spec=spec)
