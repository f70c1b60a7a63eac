"""What all children share: names, labels, the selector of the gateway's pods, and hashes."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from mistral_voice.contract import names
from mistral_voice.controller.input import Input
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import Resource

CLIENT_PORT_NAME = "realtime"
METRICS_PORT_NAME = "metrics"
REALTIME_PATH = "/v1/realtime"
LONGEST_DEFAULT_DRAIN_SECONDS = 540
"""With the grace of 30 s on top it stays below the 600 s that cluster autoscalers wait at most."""
GRACE_AFTER_DRAIN_SECONDS = 30


@dataclass(frozen=True)
class Child:
    """One object that the integration wants, and the API resource that serves it."""

    resource: Resource
    body: KubeObject


def selector_labels(integration: str) -> dict[str, str]:
    """Return the labels by which an integration's pods are found. They never change: a Deployment's selector is immutable."""
    return {names.NAME_LABEL: names.GATEWAY_NAME, names.INSTANCE_LABEL: integration}


def selector_text(integration: str) -> str:
    """Return the same selector as text, as `status.selector` and list requests want it."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector_labels(integration).items()))


def labels(known: Input) -> dict[str, str]:
    """Return the labels of every child."""
    return {
        **selector_labels(known.name),
        names.COMPONENT_LABEL: "gateway",
        names.PART_OF_LABEL: names.PART_OF,
        names.MANAGED_BY_LABEL: names.FIELD_MANAGER,
        names.INTEGRATION_LABEL: known.name,
        names.MODE_LABEL: known.valid_spec.mode.value,
    }


def child(resource: Resource, known: Input, **content: Any) -> Child:
    """Return a child under the name that all children bear. The owner reference is added where it is applied."""
    return Child(
        resource,
        {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": names.child_name(known.name), "namespace": known.namespace, "labels": labels(known)},
            **content,
        },
    )


def drain_timeout_seconds(known: Input) -> int:
    """Return how long live sessions may run on when a pod stops, in seconds."""
    spec = known.valid_spec
    if spec.gateway.drain_timeout_seconds is not None:
        return spec.gateway.drain_timeout_seconds
    return min(spec.config.max_session_duration_seconds, LONGEST_DEFAULT_DRAIN_SECONDS)


def token_secret_name(known: Input) -> str:
    """Return the name of the Secret that holds the client token: the tenant's own or the one that is made."""
    auth = known.valid_spec.gateway.auth
    if auth is not None and auth.token_secret_ref is not None:
        return auth.token_secret_ref.name
    return names.token_secret_name(known.name)


def digest(value: Any) -> str:
    """Return a short hash of JSON data, the same in every process. It hides nothing: never hash a secret with it."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


def without_empties(value: Any) -> Any:
    """Return JSON data without empty strings, lists and maps, as the API server stores optional fields: the rest compares equal later.

    Selectors and affinities stay: an empty selector selects everything.
    """
    if isinstance(value, dict):
        kept = {key: without_empties(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ("", [], {}) or (key in _MEANT_EMPTY and item == {})}
    if isinstance(value, list):
        return [without_empties(item) for item in value]
    return value


_MEANT_EMPTY = frozenset({"labelSelector", "namespaceSelector", "nodeAffinity", "podAffinity", "podAntiAffinity", "affinity", "preference"})
