"""The Deployment of the session gateway."""

from typing import Any

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.pod import GatewayTemplate
from mistral_voice.controller.build.common import (
    CLIENT_PORT_NAME,
    GRACE_AFTER_DRAIN_SECONDS,
    METRICS_PORT_NAME,
    Child,
    child,
    digest,
    drain_timeout_seconds,
    labels,
    selector_labels,
    without_empties,
)
from mistral_voice.controller.build.config_map import config_data
from mistral_voice.controller.build.resources import resources
from mistral_voice.controller.build.volumes import volume_mounts, volumes
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import DEPLOYMENT

CONTAINER_NAME = "gateway"
TEMPLATE_HASH_ANNOTATION = f"{names.GROUP}/template-hash"
"""On the Deployment: a hash of its pod template, by which a roll-out is foreseen without keeping templates in memory."""
_NOBODY = 65532


def deployment(known: Input) -> Child:
    """Return the Deployment. A roll-out never takes a pod away before its successor is ready."""
    template = pod_template(known)
    replicas = wanted_replicas(known)
    spec: dict[str, Any] = {
        **({} if replicas is None else {"replicas": replicas}),
        "selector": {"matchLabels": selector_labels(known.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": 2,
        "template": template,
    }
    made = child(DEPLOYMENT, known, spec=spec)
    made.body["metadata"]["annotations"] = {TEMPLATE_HASH_ANNOTATION: digest(template)}
    return made


def template_hash(deployment: Child) -> str:
    """Return the hash of a built Deployment's pod template: another one makes other pods."""
    return str(deployment.body["metadata"]["annotations"][TEMPLATE_HASH_ANNOTATION])


def wanted_replicas(known: Input) -> int | None:
    """Return the number of pods to apply, or None where an autoscaler holds the field.

    The field is let go only once another manager owns it: dropped earlier, the API server would set it back to 1. An autoscaler leaves a
    target of 0 alone, so a resumed one is started by the operator.
    """
    spec, present = known.valid_spec, known.deployment
    if spec.suspend:
        return 0
    autoscaling = spec.gateway.autoscaling
    if autoscaling is None:
        return spec.gateway.replicas
    if present is None or present.wanted_replicas == 0:
        return autoscaling.min_replicas
    return None if present.replicas_owned_by_other else present.wanted_replicas


def pod_template(known: Input) -> dict[str, Any]:
    """Return the pod template: Pod Security `restricted`, no token of the API server, a read-only root."""
    spec = known.valid_spec
    extra = spec.gateway.template or GatewayTemplate()
    given = without_empties(extra.model_dump(mode="json", by_alias=True, exclude_none=True))
    placement = {
        key: given[key] for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets") if key in given
    }
    return {
        "metadata": {
            "labels": {**given.get("labels", {}), **labels(known)},
            "annotations": {**given.get("annotations", {}), names.CONFIG_HASH_ANNOTATION: digest(config_data(known))},
        },
        "spec": {
            "serviceAccountName": names.child_name(known.name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": drain_timeout_seconds(known) + GRACE_AFTER_DRAIN_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _NOBODY,
                "runAsGroup": _NOBODY,
                "fsGroup": _NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **placement,
            "topologySpreadConstraints": _spread(known, given.get("topologySpreadConstraints")),
            "containers": [_container(known)],
            "volumes": volumes(known),
        },
    }


def _container(known: Input) -> dict[str, Any]:
    return {
        "name": CONTAINER_NAME,
        "image": known.operator.image,
        "imagePullPolicy": known.operator.image_pull_policy,
        "args": ["gateway"],
        "ports": [
            {"name": CLIENT_PORT_NAME, "containerPort": names.CLIENT_PORT, "protocol": "TCP"},
            {"name": METRICS_PORT_NAME, "containerPort": names.METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": resources(known.valid_spec.gateway.resources),
        "startupProbe": _probe("/healthz", period_seconds=1, failure_threshold=60),
        "readinessProbe": _probe("/readyz", period_seconds=5, failure_threshold=2),
        "livenessProbe": _probe("/healthz", period_seconds=10, failure_threshold=6),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": volume_mounts(known),
        # The last words of a gateway that doesn't start are in its logs: so they reach the pod's status, and from there the integration's.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(path: str, *, period_seconds: int, failure_threshold: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": METRICS_PORT_NAME, "scheme": "HTTP"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
        "failureThreshold": failure_threshold,
    }


def _spread(known: Input, given: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    own_pods = {"matchLabels": selector_labels(known.name)}
    if given is not None:
        return [{"labelSelector": own_pods, **constraint} for constraint in given]
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": own_pods,
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]
