"""The HorizontalPodAutoscaler: as many pods as live sessions ask for."""

from typing import Final

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.spec import Autoscaling, Gateway
from mistral_voice.controller.build.common import Child, child
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER

SESSIONS_METRIC: Final = "mistral_voice_gateway_sessions"
"""Live sessions of a pod, as gateways export it. Serving it through the custom metrics API is the cluster's part."""
_DEFAULT_TARGET_PERCENT = 70
_SCALE_DOWN_WINDOW_SECONDS = 300


def horizontal_pod_autoscaler(known: Input, autoscaling: Autoscaling) -> Child:
    """Return the autoscaler. It is wanted while suspended too: a target of 0 replicas it leaves alone."""
    spec = {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": names.child_name(known.name)},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": SESSIONS_METRIC},
                    "target": {"type": "AverageValue", "averageValue": str(target_sessions(known.valid_spec.gateway, autoscaling))},
                },
            }
        ],
        # A pod that goes away drains for minutes: going down slowly keeps short lulls from stopping it.
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": _SCALE_DOWN_WINDOW_SECONDS}},
    }
    return child(HORIZONTAL_POD_AUTOSCALER, known, spec=spec)


def target_sessions(gateway: Gateway, autoscaling: Autoscaling) -> int:
    """Return how many live sessions per pod to aim at."""
    if autoscaling.target_sessions_per_pod is not None:
        return autoscaling.target_sessions_per_pod
    return max(1, gateway.max_sessions_per_pod * _DEFAULT_TARGET_PERCENT // 100)
