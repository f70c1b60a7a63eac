"""How server-side apply takes each field of the kinds we build: as one value, key by key, or item by item.

The API server's OpenAPI schema says it by `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type`
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy). What isn't named here follows the two defaults:
an object is taken field by field, a list as one value. `tests/api/kube` compares this table with a real server's schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mistral_voice.kube import resources
from mistral_voice.kube.resources import Resource

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Structure:
    """One field's place in server-side apply.

    `atomic`: an object or item that is taken as one value. `keys`: of a list, what tells its items apart, with the value that stands for a
    missing one. `is_set`: a list of distinct scalars.
    """

    fields: Mapping[str, "Structure"] = field(default_factory=dict)
    atomic: bool = False
    keys: Mapping[str, Any] | None = None
    is_set: bool = False


GRANULAR: Final = Structure()
_ATOMIC: Final = Structure(atomic=True)
_SET: Final = Structure(is_set=True)


def _object(**fields: Structure) -> Structure:
    return Structure(fields)


def _items_by(keys: Mapping[str, Any], *, atomic: bool = False, **fields: Structure) -> Structure:
    """Return a list whose items are told apart by `keys`; `None` stands for a key that has no default."""
    return Structure(fields, atomic=atomic, keys=keys)


_NAME: Final[Mapping[str, Any]] = {"name": None}
_METADATA: Final = _object(finalizers=_SET, ownerReferences=_items_by({"uid": None}, atomic=True))
_ENV: Final = _items_by(
    _NAME, valueFrom=_object(configMapKeyRef=_ATOMIC, fieldRef=_ATOMIC, fileKeyRef=_ATOMIC, resourceFieldRef=_ATOMIC, secretKeyRef=_ATOMIC)
)
_CONTAINERS: Final = _items_by(
    _NAME,
    env=_ENV,
    ports=_items_by({"containerPort": None, "protocol": "TCP"}),
    resources=_object(claims=_items_by(_NAME)),
    volumeDevices=_items_by({"devicePath": None}),
    volumeMounts=_items_by({"mountPath": None}),
)
_CLAIM_TEMPLATE: Final = _object(metadata=_METADATA, spec=_object(dataSource=_ATOMIC, selector=_ATOMIC))
_VOLUMES: Final = _items_by(
    _NAME,
    cephfs=_object(secretRef=_ATOMIC),
    cinder=_object(secretRef=_ATOMIC),
    csi=_object(nodePublishSecretRef=_ATOMIC),
    ephemeral=_object(volumeClaimTemplate=_CLAIM_TEMPLATE),
    flexVolume=_object(secretRef=_ATOMIC),
    iscsi=_object(secretRef=_ATOMIC),
    rbd=_object(secretRef=_ATOMIC),
    scaleIO=_object(secretRef=_ATOMIC),
    storageos=_object(secretRef=_ATOMIC),
)
_POD_SPEC: Final = _object(
    affinity=_object(nodeAffinity=_object(requiredDuringSchedulingIgnoredDuringExecution=_ATOMIC)),
    containers=_CONTAINERS,
    ephemeralContainers=_CONTAINERS,
    hostAliases=_items_by({"ip": None}),
    imagePullSecrets=_items_by(_NAME, atomic=True),
    initContainers=_CONTAINERS,
    nodeSelector=_ATOMIC,
    resourceClaims=_items_by(_NAME),
    resources=_object(claims=_items_by(_NAME)),
    schedulingGates=_items_by(_NAME),
    topologySpreadConstraints=_items_by({"topologyKey": None, "whenUnsatisfiable": None}, labelSelector=_ATOMIC),
    volumes=_VOLUMES,
)


def _kind(**fields: Structure) -> Structure:
    return _object(metadata=_METADATA, **fields)


STRUCTURES: Final[Mapping[Resource, Structure]] = {
    resources.SERVICE_ACCOUNT: _kind(secrets=_items_by(_NAME, atomic=True)),
    resources.CONFIG_MAP: _kind(),
    resources.SECRET: _kind(),
    resources.SERVICE: _kind(spec=_object(ports=_items_by({"port": None, "protocol": "TCP"}), selector=_ATOMIC)),
    resources.DEPLOYMENT: _kind(spec=_object(selector=_ATOMIC, template=_object(metadata=_METADATA, spec=_POD_SPEC))),
    resources.POD_DISRUPTION_BUDGET: _kind(spec=_object(selector=_ATOMIC)),
    resources.HORIZONTAL_POD_AUTOSCALER: _kind(),
    resources.NETWORK_POLICY: _kind(spec=_object(podSelector=_ATOMIC)),
    resources.INGRESS: _kind(spec=_object(defaultBackend=_object(resource=_ATOMIC, service=_object(port=_ATOMIC)))),
    resources.HTTP_ROUTE: _kind(),
}
"""The kinds we build. `status` is left out: it isn't ours."""


def structure_of(resource: Resource) -> Structure:
    """Return the structure of a kind; one that isn't named here has only the metadata's."""
    return STRUCTURES.get(resource) or _kind()


def item_key(item: Mapping[str, Any], keys: Mapping[str, Any]) -> str:
    """Return what tells an item of a list apart, in the form of `fieldsV1`, for example `k:{"name":"gateway"}`."""
    present = {key: item.get(key, default) for key, default in keys.items()}
    return f"k:{_encode_sorted({key: value for key, value in present.items() if value is not None}).decode()}"
