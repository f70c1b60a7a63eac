"""The integrations as last seen, kept small: ten thousand of them wait here between two visits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from mistral_voice.kube.objects import KubeObject, ObjectKey


@dataclass(frozen=True, slots=True)
class StoredIntegration:
    """One integration as the watch last told it. `body` is the object without `managedFields`, as JSON."""

    uid: str
    resource_version: str
    body: bytes

    def decoded(self) -> KubeObject:
        """Return the object as plain JSON."""
        value: dict[str, Any] = msgspec.json.decode(self.body)
        return value


def _stored(body: KubeObject) -> StoredIntegration:
    metadata = body["metadata"]
    slim = {**body, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
    return StoredIntegration(metadata["uid"], metadata["resourceVersion"], msgspec.json.encode(slim))


class IntegrationStore:
    """All integrations by key, and the key by UID."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, StoredIntegration] = {}
        self._keys: dict[str, ObjectKey] = {}

    def put(self, body: KubeObject) -> ObjectKey:
        """Keep an object as the newest state of its integration and return its key."""
        stored = _stored(body)
        key = ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])
        former = self._by_key.get(key)
        if former is not None and former.uid != stored.uid:
            self._keys.pop(former.uid, None)
        self._by_key[key] = stored
        self._keys[stored.uid] = key
        return key

    def remove(self, key: ObjectKey, uid: str | None = None) -> None:
        """Forget an integration; with `uid` only if it is still that one (a deleted one may have a successor of its name)."""
        stored = self._by_key.get(key)
        if stored is not None and (uid is None or stored.uid == uid):
            del self._by_key[key]
            self._keys.pop(stored.uid, None)

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
