"""A roll-out that is stuck, in the words of the pod."""

from mistral_voice.contract import names
from mistral_voice.controller.check.finding import Finding, grave
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.rollout import trouble

_SUGGESTIONS = {
    Reason.IMAGE_PULL_FAILED: "Check that the image exists and that the nodes may pull it (template.imagePullSecrets).",
    Reason.CRASH_LOOP: "Look at the pod's logs: kubectl logs deployment/{child} --previous.",
    Reason.CONTAINER_CONFIG_ERROR: "Check that the Secrets and keys exist that the integration names.",
    Reason.UNSCHEDULABLE: "Free or add nodes, lower spec.gateway.resources, or correct the placement in spec.gateway.template.",
    Reason.QUOTA_EXCEEDED: "Lower spec.gateway.replicas or resources, or ask for a larger ResourceQuota in this namespace.",
    Reason.ADMISSION_DENIED: "Ask who runs the cluster about the policy that is named.",
}


def pods_start(known: Input) -> Finding | None:
    """Find pods that don't come up."""
    held_up = trouble(known)
    if held_up is None:
        return None
    suggestion = _SUGGESTIONS.get(held_up.reason, "Look at the pods: kubectl describe pods -l {selector}.")
    return grave(
        held_up.reason.value,
        "status.gateway",
        f"The gateway's pods don't get ready: {held_up.message}",
        suggestion.format(child=names.child_name(known.name), selector=f"{names.INSTANCE_LABEL}={known.name}"),
    )
