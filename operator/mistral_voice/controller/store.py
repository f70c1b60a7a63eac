"""The integrations as last seen, kept small: ten thousand of them wait here between two visits."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from sys import intern
from typing import Any

import msgspec

from mistral_voice.contract.integration import OwnershipMode
from mistral_voice.controller.reasons import Reason
from mistral_voice.kube.objects import KubeObject, ObjectKey, is_later, key_of
from mistral_voice.kube.observed import Observed

_ROLLING_OUT = Reason.ROLLING_OUT.value.encode()

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class StoredIntegration:
    """One integration as the watch last told it.

    `meaning` is equal where a visit would find the same. `plan` is the one that it claims, empty with mode byok. `body` is the object
    without `managedFields`, as JSON.
    """

    uid: str
    resource_version: str
    meaning: int
    deleting: bool
    plan: str
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
        """Take in what the watch says of an integration. Return whether it deserves a visit.

        It doesn't where it is older than what is known (the answer to our own write may overtake the watch), where nothing but the
        resource version changed, or where the change is the status that we are writing ourselves.
        """
        if self.knows(body):
            return False
        stored, key = _stored(body), key_of(body)
        former = self._by_key.get(key)
        if former is not None and former.uid != stored.uid:
            self._keys.pop(former.uid, None)
        self._by_key[key] = stored
        self._keys[stored.uid] = key
        return former is None or stored.meaning not in (former.meaning, self._expected.get(key))

    def knows(self, body: KubeObject) -> bool:
        """Tell whether an integration is known as it is in `body`, or later: the answer to our own write came before its echo."""
        former, metadata = self._by_key.get(key_of(body)), body["metadata"]
        return former is not None and former.uid == metadata["uid"] and not is_later(metadata["resourceVersion"], former.resource_version)

    def renew(self, body: KubeObject) -> None:
        """Take in what the API server answered about an integration, unless the watch has told of something newer or its deletion."""
        former = self._by_key.get(key_of(body))
        if former is not None and former.uid == body["metadata"]["uid"]:
            self.put(body)

    @contextmanager
    def expecting(self, body: KubeObject, status: Mapping[str, Any]) -> Iterator[None]:
        """While the context lasts this status is being written: its echo causes no visit. Afterwards it would be somebody's change."""
        key = key_of(body)
        self._expected[key] = _meaning({**body, "status": status})
        try:
            yield
        finally:
            del self._expected[key]

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

    def concerned_by(self, child: Observed) -> ObjectKey | None:
        """Return the key of the integration that a child tells something about, or None.

        It is the owner in the child's own namespace: a namespace's copy bears the same UIDs. Else it is the owner's namesake, who waits for
        the names that a former integration's children give free.
        """
        owner = self._keys.get(child.owner_uid)
        key = owner if owner is not None and owner.namespace == child.namespace else ObjectKey(child.namespace, child.owner_name)
        return key if key in self._by_key else None

    def rolls_out(self, key: ObjectKey) -> bool:
        """Tell whether status says that the integration's gateway is rolling out."""
        stored = self._by_key.get(key)
        if stored is None or _ROLLING_OUT not in stored.body:
            return False
        conditions = (stored.decoded().get("status") or {}).get("conditions") or ()
        return any(condition.get("reason") == Reason.ROLLING_OUT for condition in conditions)

    def claiming(self, plan: str) -> tuple[ObjectKey, ...]:
        """Return the keys of the integrations that claim a plan."""
        return tuple(key for key, stored in self._by_key.items() if stored.plan == plan)

    def managed_in(self, namespace: str | None) -> tuple[ObjectKey, ...]:
        """Return the keys of the managed integrations in a namespace, or in all."""
        return tuple(key for key, stored in self._by_key.items() if stored.plan and namespace in (None, key.namespace))

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(tuple(self._by_key))

    def __len__(self) -> int:
        return len(self._by_key)


def _stored(body: KubeObject) -> StoredIntegration:
    metadata = body["metadata"]
    slim = {**body, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
    deleting = "deletionTimestamp" in metadata
    return StoredIntegration(metadata["uid"], metadata["resourceVersion"], _meaning(body), deleting, _claimed_plan(body), _encode(slim))


def _claimed_plan(body: KubeObject) -> str:
    # As lenient as the store is: what the spec says is judged when it is visited.
    spec = body.get("spec")
    reference = spec.get("planRef") if isinstance(spec, Mapping) and spec.get("mode") == OwnershipMode.MANAGED else None
    name = reference.get("name") if isinstance(reference, Mapping) else None
    return intern(name) if isinstance(name, str) else ""


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
