"""What we remember of an object that we watch: a slim record, made straight from the API server's JSON."""

from sys import intern
from typing import Any, Final, Protocol

import msgspec

from mistral_voice.kube.managed_fields import FieldSet, FieldSets
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.resources import DEPLOYMENT, Resource

_NO_FIELDS: Final = msgspec.Raw(b"{}")
_REPLICAS: Final = ("f:spec", "f:replicas")


class Marks(msgspec.Struct, frozen=True):
    """The names by which objects of ours are known: our field manager, and the labels and the annotation that every one of them bears."""

    field_manager: str
    hash_annotation: str
    owner_uid_label: str
    owner_name_label: str
    template_hash_annotation: str = ""
    """On a workload: the owner's hash of its pod template, if it keeps one."""


class Observed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An object as its metadata shows it.

    `controller_uid` is the UID in its controller reference, `labelled_uid` the one in our label (each empty if there is none).
    `desired_hash` is our annotation. `applied` and `updated` are the field sets of our `Apply` and `Update` entries. `intact_for` is the
    applier's note: the hash of the wanted object that it found this one to match.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    controller_uid: str = ""
    labelled_uid: str = ""
    owner_name: str = ""
    desired_hash: str = ""
    applied: FieldSet | None = None
    updated: FieldSet | None = None
    deleting: bool = False
    intact_for: str = ""

    @property
    def key(self) -> ObjectKey:
        """Return its namespace and name."""
        return ObjectKey(self.namespace, self.name)

    @property
    def owner_uid(self) -> str:
        """Return the UID of the object it belongs to: its controller, or where that reference was stripped, what our label says."""
        return self.controller_uid or self.labelled_uid


class WorkloadCondition(msgspec.Struct, frozen=True, gc=False):
    """A condition in a workload's status."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""


class ObservedWorkload(Observed, frozen=True, gc=False, kw_only=True):
    """A Deployment with its roll-out.

    `replicas_managers` are the others than us who manage `spec.replicas`. `troubles` are its conditions save the two that all is well with
    (`Available` and `Progressing`, both True).
    """

    generation: int = 0
    observed_generation: int = 0
    wanted_replicas: int = 1
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    terminating_replicas: int = 0
    replicas_managers: tuple[str, ...] = ()
    template_hash: str = ""
    troubles: tuple[WorkloadCondition, ...] = ()


class _Entry(msgspec.Struct, gc=False, rename="camel"):
    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: msgspec.Raw = msgspec.field(default=_NO_FIELDS, name="fieldsV1")


class _OwnerReference(msgspec.Struct, gc=False):
    uid: str
    controller: bool = False


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str = ""
    namespace: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[_OwnerReference] = []
    managed_fields: list[_Entry] = []


class _Object(msgspec.Struct):
    metadata: _Metadata


class _WorkloadSpec(msgspec.Struct):
    replicas: int = 1


class _WorkloadStatus(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    terminating_replicas: int = 0
    conditions: list[WorkloadCondition] = []


class _Workload(msgspec.Struct):
    metadata: _Metadata
    spec: _WorkloadSpec = msgspec.field(default_factory=_WorkloadSpec)
    status: _WorkloadStatus = msgspec.field(default_factory=_WorkloadStatus)


_decode_object: Final = msgspec.json.Decoder(_Object).decode
_decode_workload: Final = msgspec.json.Decoder(_Workload).decode


class ObjectReader(Protocol):
    """Makes the records that a watch keeps."""

    def metadata_only(self, resource: Resource) -> bool:
        """Return whether the metadata is all that `read` wants of this kind."""
        ...

    def read(self, resource: Resource, payload: bytes | msgspec.Raw) -> Observed:
        """Return the record of an object."""
        ...


class Reader:
    """Makes records from JSON. Deployments are read whole, all other kinds by their metadata alone."""

    def __init__(self, fields: FieldSets, marks: Marks) -> None:
        self._fields = fields
        self._marks = marks

    @staticmethod
    def metadata_only(resource: Resource) -> bool:
        """Return whether the metadata is all that `read` wants of this kind."""
        return resource != DEPLOYMENT

    def read(self, resource: Resource, payload: bytes | msgspec.Raw) -> Observed:
        """Return the record of an object: an `ObservedWorkload` for a Deployment."""
        if self.metadata_only(resource):
            return self._object(_decode_object(payload).metadata)
        return self._workload(_decode_workload(payload))

    def _object(self, metadata: _Metadata) -> Observed:
        return Observed(**self._common(metadata))

    def _common(self, metadata: _Metadata) -> dict[str, Any]:
        marks = self._marks
        controller_uid = next((reference.uid for reference in metadata.owner_references if reference.controller), "")
        labelled_uid = metadata.labels.get(marks.owner_uid_label, "")
        applied = updated = None
        for entry in metadata.managed_fields:
            if entry.manager != marks.field_manager or entry.subresource:
                continue
            fields = self._fields.parse(bytes(entry.fields_v1), controller_uid)
            if entry.operation == "Apply":
                applied = fields
            else:
                updated = fields
        # Namespaces, names and owners recur in the records of other kinds: interned, they are kept once.
        return {
            "namespace": intern(metadata.namespace),
            "name": intern(metadata.name),
            "uid": metadata.uid,
            "resource_version": metadata.resource_version,
            "controller_uid": intern(controller_uid),
            "labelled_uid": intern(labelled_uid),
            "owner_name": intern(metadata.labels.get(marks.owner_name_label, "")),
            "desired_hash": metadata.annotations.get(marks.hash_annotation, ""),
            "applied": applied,
            "updated": updated,
            "deleting": metadata.deletion_timestamp is not None,
        }

    def _workload(self, workload: _Workload) -> ObservedWorkload:
        status = workload.status
        return ObservedWorkload(
            **self._common(workload.metadata),
            generation=workload.metadata.generation,
            observed_generation=status.observed_generation,
            wanted_replicas=workload.spec.replicas,
            replicas=status.replicas,
            updated_replicas=status.updated_replicas,
            ready_replicas=status.ready_replicas,
            terminating_replicas=status.terminating_replicas,
            replicas_managers=self._replicas_managers(workload.metadata),
            template_hash=workload.metadata.annotations.get(self._marks.template_hash_annotation, ""),
            troubles=tuple(condition for condition in status.conditions if not _is_well(condition)),
        )

    def _replicas_managers(self, metadata: _Metadata) -> tuple[str, ...]:
        return tuple(
            intern(entry.manager)
            for entry in metadata.managed_fields
            if entry.manager != self._marks.field_manager and b'"f:replicas"' in (fields := bytes(entry.fields_v1))
            if _REPLICAS in self._fields.parse(fields, "")
        )


def _is_well(condition: WorkloadCondition) -> bool:
    return condition.status == "True" and condition.type in {"Available", "Progressing"}
