"""Who manages which fields of an object: server-side apply's `managedFields`, read and compared without keeping objects.

A field set is what an entry's `fieldsV1` spells out: https://github.com/kubernetes-sigs/structured-merge-diff. Objects of one kind have
nearly all the same set, so sets are interned and an object's record only points at its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from mistral_voice.kube.list_types import GRANULAR, Structure, item_key, structure_of
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import Resource

_MAX_INTERNED: Final = 4096
_OWNER_PLACEHOLDER: Final = "*"
_SEPARATOR: Final = "\x00"
_UNMANAGED_METADATA: Final = frozenset(
    {"name", "namespace", "uid", "creationTimestamp", "resourceVersion", "generation", "managedFields", "selfLink", "generateName"}
)
"""What the API server never counts as managed: https://github.com/kubernetes/apimachinery, `stripMeta`."""

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode
_encode: Final = msgspec.json.Encoder().encode
_decode_fields: Final = msgspec.json.Decoder(dict[str, Any]).decode


class FieldSet:
    """An immutable set of field paths. Equal sets compare equal; the same set mostly is the same object."""

    __slots__ = ("_hash", "paths")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.paths: Final = frozenset(_paths(fields, ""))
        self._hash = hash(self.paths)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, FieldSet) and self.paths == other.paths)

    def __hash__(self) -> int:
        return self._hash

    def __le__(self, other: "FieldSet") -> bool:
        return self is other or self.paths <= other.paths

    def minus(self, other: "FieldSet") -> list[str]:
        """Return the paths that only this set has, for a person to read."""
        return sorted(" ".join(path.split(_SEPARATOR)) for path in self.paths.difference(other.paths))

    def __contains__(self, path: Sequence[str]) -> bool:
        """Return whether a path such as `("f:spec", "f:replicas")` is in the set."""
        return _SEPARATOR.join(path) in self.paths


class FieldSets:
    """Makes field sets, each distinct one once. A process has one of these."""

    def __init__(self) -> None:
        self._interned: dict[bytes, FieldSet] = {}
        self._expected: dict[tuple[Resource, bytes], FieldSet] = {}

    def parse(self, fields: bytes, owner_uid: str) -> FieldSet:
        """Return the set that an entry's `fieldsV1` describes, with the owner's UID masked: it alone differs from object to object."""
        if owner_uid:
            fields = fields.replace(_owner_key(owner_uid), _owner_key(_OWNER_PLACEHOLDER))
        return self._intern(fields)

    def expected(self, resource: Resource, body: KubeObject, owner_uid: str) -> FieldSet:
        """Return the set that an `Apply` entry has after `body` was applied."""
        shape = (resource, _shape(body, owner_uid))
        known = self._expected.get(shape)
        if known is None:
            if len(self._expected) >= _MAX_INTERNED:
                del self._expected[next(iter(self._expected))]
            known = self._expected[shape] = self._worked_out(resource, body, owner_uid)
        return known

    def _worked_out(self, resource: Resource, body: KubeObject, owner_uid: str) -> FieldSet:
        tree = _applied(body, structure_of(resource))
        for unmanaged in ("apiVersion", "kind", "status"):
            tree.pop(f"f:{unmanaged}", None)
        metadata = {field: inner for field, inner in tree.get("f:metadata", {}).items() if field[2:] not in _UNMANAGED_METADATA}
        if metadata:
            tree["f:metadata"] = metadata
        else:
            tree.pop("f:metadata", None)
        return self.parse(_encode_sorted(tree), owner_uid)

    def _intern(self, fields: bytes) -> FieldSet:
        known = self._interned.get(fields)
        if known is None:
            if len(self._interned) >= _MAX_INTERNED:
                del self._interned[next(iter(self._interned))]
            known = self._interned[fields] = FieldSet(_decode_fields(fields))
        return known


def _shape(body: KubeObject, owner_uid: str) -> bytes:
    """Return a text that is the same only for objects with the same fields, and is the same for most objects of a builder.

    Masked is what differs from owner to owner and is no part of a field's path: the data of a ConfigMap, annotations, and every value
    that begins with the namespace or the owner. Of the lists of a pod whose items are told apart by a value that a tenant chooses,
    these values are kept.
    """
    metadata = body.get("metadata", {})
    masked = {**body, "metadata": _without_annotations(metadata)}
    if "data" in body:
        masked["data"] = _without_texts(body["data"])
    template = body.get("spec", {}).get("template") or {}
    if "metadata" in template:
        masked["spec"] = {**body["spec"], "template": {**template, "metadata": _without_annotations(template["metadata"])}}
    text = _encode(masked)
    owner = next((reference.get("name") for reference in metadata.get("ownerReferences", ())), None)
    for number, value in enumerate((owner, metadata.get("namespace"), owner_uid)):
        if value:
            # What follows a colon is a value, never a field's name. Names of children begin with their owner's.
            text = text.replace(b':"%b' % value.encode(), b':"\x00%d' % number)
    pod = template.get("spec", {})
    chosen = [item.get("name") for item in pod.get("imagePullSecrets", ())]
    chosen += [(item.get("topologyKey"), item.get("whenUnsatisfiable")) for item in pod.get("topologySpreadConstraints", ())]
    return text + _encode(chosen) if chosen else text


def _without_annotations(metadata: KubeObject) -> KubeObject:
    return {**metadata, "annotations": _without_texts(metadata["annotations"])} if "annotations" in metadata else metadata


def _without_texts(texts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if isinstance(value, str) else value for name, value in texts.items()}


def _owner_key(uid: str) -> bytes:
    """Return the start of an owner reference's key, as JSON has it inside a string."""
    return b'k:{\\"uid\\":' + _encode(_encode(uid).decode())[1:-1] + b"}"


def _paths(fields: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield the members of a `fieldsV1` tree: leaves, and inner nodes that have a `.`."""
    for element, inner in fields.items():
        if element == ".":
            yield prefix
            continue
        path = f"{prefix}{_SEPARATOR}{element}" if prefix else element
        if inner:
            yield from _paths(inner, path)
        else:
            yield path


def _applied(value: Mapping[str, Any], structure: Structure) -> dict[str, Any]:
    """Return the `fieldsV1` tree of an applied object, as structured-merge-diff's `ToFieldSet` makes it."""
    tree: dict[str, Any] = {}
    for name, inner in value.items():
        shape = structure.fields.get(name, GRANULAR)
        if isinstance(inner, dict) and inner and not shape.atomic:
            children = _applied(inner, shape)
        elif isinstance(inner, list) and shape.is_set:
            children = {f"v:{_encode(item).decode()}": {} for item in inner}
        elif isinstance(inner, list) and shape.keys is not None:
            children = {item_key(item, shape.keys): {} if shape.atomic else {".": {}, **_applied(item, shape)} for item in inner}
        else:
            tree[f"f:{name}"] = {}
            continue
        if children:
            tree[f"f:{name}"] = children
    return tree


def upgraded(entries: Sequence[KubeObject], manager: str) -> list[KubeObject] | None:
    """Return an object's `managedFields` with our `Update` entries turned into the `Apply` entry; nothing if there are none.

    Without this, fields that a POST set would stay for ever once they leave what we apply. The rule is client-go's
    (https://pkg.go.dev/k8s.io/client-go/util/csaupgrade): the union of all goes to the `Apply` entry, or in the newest one's place.
    """
    updates = [entry for entry in entries if _is_ours(entry, manager, "Update")]
    if not updates:
        return None
    apply = next((entry for entry in entries if _is_ours(entry, manager, "Apply")), None)
    chosen = apply or max(updates, key=lambda entry: str(entry.get("time", "")))
    fields: dict[str, Any] = {}
    for entry in (chosen, *updates):
        fields = _union(fields, entry.get("fieldsV1", {}))
    merged = {**chosen, "operation": "Apply", "fieldsV1": fields}
    return [merged if entry is chosen else entry for entry in entries if entry is chosen or entry not in updates]


def _is_ours(entry: KubeObject, manager: str, operation: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == operation and not entry.get("subresource")


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    union = dict(one)
    for element, inner in other.items():
        mine = union.get(element)
        if mine is None:
            union[element] = inner
        elif bool(mine) != bool(inner):
            union[element] = {".": {}, **mine, **inner}
        elif inner:
            union[element] = _union(mine, inner)
    return union
