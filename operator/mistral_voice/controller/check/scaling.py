"""Numbers of pods and sessions, and how long a pod may take to stop."""

from mistral_voice.controller.build.common import GRACE_AFTER_DRAIN_SECONDS, drain_timeout_seconds
from mistral_voice.controller.check.finding import Finding, info, warning
from mistral_voice.controller.input import Input

AUTOSCALER_PATIENCE_SECONDS = 600
"""The longest grace period that cluster-autoscaler honours by default (`--max-graceful-termination-sec`)."""


def replicas_counted(known: Input) -> Finding | None:
    """Find a number of replicas that autoscaling overrules."""
    gateway = known.valid_spec.gateway
    if gateway.autoscaling is None or gateway.replicas == 1:
        return None
    return info(
        "ReplicasIgnored",
        "spec.gateway.replicas",
        f"replicas: {gateway.replicas} has no effect while autoscaling is set.",
        "Set autoscaling.minReplicas instead.",
    )


def target_within_limit(known: Input) -> Finding | None:
    """Find an autoscaling target that pods never reach."""
    gateway = known.valid_spec.gateway
    target = gateway.autoscaling.target_sessions_per_pod if gateway.autoscaling is not None else None
    if target is None or target < gateway.max_sessions_per_pod:
        return None
    return warning(
        "TargetNeverExceeded",
        "spec.gateway.autoscaling.targetSessionsPerPod",
        f"A pod takes at most {gateway.max_sessions_per_pod} sessions, so an average above {target} never occurs and no pod is added.",
        "Aim below maxSessionsPerPod, for example at 70 % of it.",
    )


def drain_within_patience(known: Input) -> Finding | None:
    """Find a drain that cluster autoscalers cut short."""
    grace = drain_timeout_seconds(known) + GRACE_AFTER_DRAIN_SECONDS
    if grace <= AUTOSCALER_PATIENCE_SECONDS:
        return None
    return info(
        "DrainLongerThanAutoscalersWait",
        "spec.gateway.drainTimeoutSeconds",
        f"A pod may take {grace} s to stop, and cluster autoscalers commonly wait {AUTOSCALER_PATIENCE_SECONDS} s at most: "
        "a node that is taken away may end sessions early.",
        f"Stay at {AUTOSCALER_PATIENCE_SECONDS - GRACE_AFTER_DRAIN_SECONDS} s or less, or raise the autoscaler's limit.",
    )
