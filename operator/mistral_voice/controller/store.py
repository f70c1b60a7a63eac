"""The integrations as last seen, kept small: ten thousand of them wait here between two visits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mistral_voice.kube.objects import KubeObject, ObjectKey

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class StoredIntegration:
    """One integration as the watch last told it. `body` is the object without `managedFields`, as JSON."""

    uid: str
    resource_version: str
    meaning: int
    body: bytes

    def decoded(self) -> KubeObject:
        """Return the object as plain JSON."""
        value: dict[str, Any] = msgspec.json.decode(self.body)
        return value


class IntegrationStore:
    """All integrations by key, and the key by UID."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, StoredIntegration] = {}
        self._keys: dict[str, ObjectKey] = {}
        self._expected: dict[ObjectKey, int] = {}

    def put(self, body: KubeObject) -> bool:
        """Keep an object as the newest state of its integration. Return whether it deserves a visit.

        It doesn't where nothing but the resource version changed, or where the change is the status that we are writing ourselves.
        """
        stored = _stored(body)
        key = ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])
        former = self._by_key.get(key)
        if former is not None and former.uid != stored.uid:
            self._keys.pop(former.uid, None)
            self._expected.pop(key, None)
        self._by_key[key] = stored
        self._keys[stored.uid] = key
        return former is None or stored.meaning not in (former.meaning, self._expected.get(key))

    def expect(self, key: ObjectKey, body: KubeObject, status: Mapping[str, Any]) -> None:
        """Announce the status that is about to be written, so that its echo causes no visit."""
        self._expected[key] = _meaning({**body, "status": status})

    def remove(self, key: ObjectKey, uid: str | None = None) -> None:
        """Forget an integration; with `uid` only if it is still that one (a deleted one may have a successor of its name)."""
        stored = self._by_key.get(key)
        if stored is not None and (uid is None or stored.uid == uid):
            del self._by_key[key]
            self._keys.pop(stored.uid, None)
            self._expected.pop(key, None)

    def get(self, key: ObjectKey) -> StoredIntegration | None:
        """Return what is known of an integration, or None if it is gone."""
        return self._by_key.get(key)

    def key_of(self, uid: str) -> ObjectKey | None:
        """Return the key of the integration with this UID."""
        return self._keys.get(uid)

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(tuple(self._by_key))

    def __len__(self) -> int:
        return len(self._by_key)


def _stored(body: KubeObject) -> StoredIntegration:
    metadata = body["metadata"]
    slim = {**body, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
    return StoredIntegration(metadata["uid"], metadata["resourceVersion"], _meaning(body), _encode(slim))


def _meaning(body: KubeObject) -> int:
    metadata = body["metadata"]
    parts = (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
        body.get("status"),
    )
    return hash(_encode(parts))
