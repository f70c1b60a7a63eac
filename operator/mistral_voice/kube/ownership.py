"""Whose an object is: the owner whose controller reference it bears, and sentences for when it is somebody else's."""

from dataclasses import dataclass

from mistral_voice.kube.objects import KubeObject, ObjectKey
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that our objects belong to, and go with."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def reference(self) -> KubeObject:
        """Return the controller reference to it."""
        reference = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return {**reference, "controller": True, "blockOwnerDeletion": True}


def owner_uid_of(metadata: KubeObject, owner_uid_label: str) -> str:
    """Return the UID of the object that another belongs to, as `Observed.owner_uid` has it, from its metadata; empty if there is none."""
    controller = _controller(metadata) or {}
    return str(controller.get("uid") or (metadata.get("labels") or {}).get(owner_uid_label) or "")


def is_owned(observed: Observed, owner: Owner) -> bool:
    """Return whether an object is the owner's: by its controller reference, or by our label where it has no controller at all."""
    return observed.owner_uid == owner.uid and observed.namespace == owner.namespace


def is_left_behind(observed: Observed, owner: Owner) -> bool:
    """Return whether an object was a former namesake's of the owner, has no controller any more, and so is the owner's to take over.

    So it is after a restore from a backup, which makes objects with new UIDs and may drop their references, and after a deletion that
    orphans. In one namespace a name is borne once: who our labels name by this name and another UID is gone.
    """
    labelled = observed.labelled_uid not in {"", owner.uid} and observed.owner_name == owner.name
    return labelled and not observed.controller_uid and observed.namespace == owner.namespace


def goes_by_itself(metadata: KubeObject, owner: Owner) -> bool:
    """Return whether an object that isn't the owner's is on its way out.

    It is being deleted, or it belongs to a former owner of the same name: the garbage collector takes it, as that one is gone.
    """
    if metadata.get("deletionTimestamp"):
        return True
    controller = _controller(metadata) or {}
    namesake = (controller.get("kind"), controller.get("name")) == (owner.kind, owner.name)
    return namesake and controller["uid"] != owner.uid


def name_taken(resource: Resource, key: ObjectKey, metadata: KubeObject) -> str:
    """Return the sentence that says whose the object is whose name we wanted."""
    controller = _controller(metadata)
    if controller is not None:
        whose = f"belongs to {controller['kind']} {controller['name']}"
    else:
        managers = sorted({entry["manager"] for entry in metadata.get("managedFields", []) if entry.get("manager")})
        whose = f"was made by {' and '.join(managers)}" if managers else "is not ours"
    return f"{resource.kind} {key} already exists and {whose}. It is left alone: delete or rename it, or choose another name."


def missing_parts(desired: KubeObject, present: KubeObject) -> KubeObject:
    """Return the merge patch that puts back what a Secret lacks: data keys that are missing, labels, annotations and owner references.

    A key that is there keeps its value, whatever it is.
    """
    patch: KubeObject = {}
    metadata: KubeObject = {}
    present_metadata = present["metadata"]
    for part in ("labels", "annotations"):
        there = present_metadata.get(part, {})
        differing = {name: value for name, value in desired["metadata"].get(part, {}).items() if there.get(name) != value}
        if differing:
            metadata[part] = differing
    references = present_metadata.get("ownerReferences") or ()
    wanted = desired["metadata"].get("ownerReferences", [])
    if any(reference not in references for reference in wanted):
        uids = {reference["uid"] for reference in wanted}
        metadata["ownerReferences"] = [reference for reference in references if reference["uid"] not in uids] + wanted
    if metadata:
        patch["metadata"] = metadata
    there = present.get("data") or {}
    for part in ("data", "stringData"):
        lacking = {name: value for name, value in desired.get(part, {}).items() if name not in there}
        if lacking:
            patch[part] = lacking
    return patch


def _controller(metadata: KubeObject) -> KubeObject | None:
    return next((reference for reference in metadata.get("ownerReferences") or () if reference.get("controller")), None)
