"""Plans and pools as watched: whole, unlike the children of integrations; of namespaces the labels alone."""

from typing import Any, Final

import msgspec

from mistral_voice.contract import names
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.resources import NAMESPACE, Resource

PLAN: Final = Resource(names.GROUP, names.VERSION, names.PLAN_PLURAL, names.PLAN_KIND, namespaced=False)
POOL: Final = Resource(names.GROUP, names.VERSION, names.POOL_PLURAL, names.POOL_KIND, namespaced=False)

_NOTHING: Final = msgspec.Raw(b"{}")


class ObservedResource(Observed, frozen=True, kw_only=True):
    """An object with its labels and, as JSON, its spec and status."""

    generation: int = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    spec: bytes = b"{}"
    status: bytes = b"{}"

    def decoded_spec(self) -> Any:
        """Return the spec as plain JSON."""
        return msgspec.json.decode(self.spec)

    def decoded_status(self) -> Any:
        """Return the status as plain JSON."""
        return msgspec.json.decode(self.status)


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: msgspec.Raw = _NOTHING
    status: msgspec.Raw = _NOTHING


_decode: Final = msgspec.json.Decoder(_Object).decode


class PlatformReader:
    """Makes records of cluster-scoped objects."""

    def metadata_only(self, resource: Resource) -> bool:
        """Return whether the metadata is all that `read` wants of this kind."""
        return resource == NAMESPACE

    def read(self, resource: Resource, payload: bytes | msgspec.Raw) -> ObservedResource:  # noqa: ARG002 - the reader's shape
        """Return the record of an object."""
        found = _decode(payload)
        return ObservedResource(
            namespace="",
            name=found.metadata.name,
            uid=found.metadata.uid,
            resource_version=found.metadata.resource_version,
            deleting=found.metadata.deletion_timestamp is not None,
            generation=found.metadata.generation,
            labels=found.metadata.labels,
            spec=bytes(found.spec),
            status=bytes(found.status),
        )
