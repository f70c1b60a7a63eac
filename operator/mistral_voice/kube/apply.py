"""Bring one object to what is wanted, touching nothing that is not ours and writing nothing that is already so."""

import hashlib
import logging
from base64 import urlsafe_b64encode
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from mistral_voice.kube.client import Client
from mistral_voice.kube.displaced import restoring_patch
from mistral_voice.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound, Unreachable
from mistral_voice.kube.list_types import structure_of
from mistral_voice.kube.managed_fields import FieldSet, FieldSets, upgraded
from mistral_voice.kube.objects import KubeObject, ObjectKey, key_of
from mistral_voice.kube.observed import Marks, Observed, Reader
from mistral_voice.kube.ownership import Owner, goes_by_itself, is_left_behind, is_owned, missing_parts, name_taken
from mistral_voice.kube.resources import SECRET, Resource

_MAX_ROUNDS: Final = 4
_MAX_CHECKED: Final = 256
_LONGEST_SENTENCE: Final = 1000
_FINAL: Final = frozenset({400, 422})
"""Answers that stay the same until the object or the cluster's rules change."""

_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode
_log: Final = logging.getLogger(__name__)


class Action(StrEnum):
    """What became of a wanted object."""

    CREATED = "Created"
    APPLIED = "Applied"
    UNCHANGED = "Unchanged"
    NAME_TAKEN = "NameTaken"
    REFUSED = "Refused"
    TERMINATING = "Terminating"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one object.

    `message` is a sentence for `NAME_TAKEN` (whose it is) and `REFUSED` (what the API server does not allow), else empty. `TERMINATING`
    says that the name becomes free by itself: its object is being deleted, or was a former owner's. `observed` is the object as it is now,
    where that is known.
    """

    action: Action
    resource: Resource
    key: ObjectKey
    message: str = ""
    observed: Observed | None = None


class WriteNotice(Protocol):
    """Hears of our own writes, so that their echo on a watch is not taken for somebody's change, and of what was found without a write."""

    def begin_write(self, resource: Resource, key: ObjectKey) -> None:
        """Note that a write to this object is under way."""

    def end_write(self, resource: Resource, key: ObjectKey, written: Observed | None) -> None:
        """Note that it is over, and what the object is now, if the write took place."""

    def found_intact(self, resource: Resource, observed: Observed, noted: Observed) -> None:
        """Take `noted`, which says that the object is as wanted, in the place of the same record without that note."""


class _NoNotice:
    def begin_write(self, resource: Resource, key: ObjectKey) -> None: ...

    def end_write(self, resource: Resource, key: ObjectKey, written: Observed | None) -> None: ...

    def found_intact(self, resource: Resource, observed: Observed, noted: Observed) -> None: ...


def desired_hash(body: KubeObject) -> str:
    """Return a short hash of an object as it is wanted. Not for objects that hold a secret: even a hash tells something of it."""
    return urlsafe_b64encode(hashlib.sha256(_encode_sorted(body)).digest()[:12]).decode()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A wanted object with our marks on it."""

    resource: Resource
    key: ObjectKey
    body: KubeObject
    hash: str
    owner_uid: str


class Applier:
    """Creates and applies objects under one field manager.

    Builders leave out the owner reference, the owner's labels and the hash: they are added here. They also leave out what Go's encoder
    drops (false, 0 and empty values of plain fields): an object built with these is written once too often.
    """

    def __init__(self, client: Client, fields: FieldSets, marks: Marks, notice: WriteNotice | None = None) -> None:
        self._client = client
        self._fields = fields
        self._marks = marks
        self._reader = Reader(fields, marks)
        self._notice = notice or _NoNotice()
        self._learned: dict[FieldSet, FieldSet] = {}
        self._checked: set[tuple[Resource, FieldSet]] = set()

    async def ensure(self, resource: Resource, desired: KubeObject, owner: Owner, observed: Observed | None) -> Outcome:
        """Make the object if it is missing, apply it if it differs, and leave it alone if it doesn't or isn't ours.

        `observed` may be out of date: then it is read again. Raises `ApiError` for what a later attempt may cure (a missing right, a quota,
        an object that changes faster than it can be read) and `Unreachable`.
        """
        wanted = self._wanted(resource, desired, owner)
        restored = False
        for attempt in range(1, _MAX_ROUNDS + 1):
            try:
                return await self._bring_about(wanted, owner, observed)
            except ApiError as error:
                out_of_date = _is_out_of_date(error)
                if error.status in _FINAL and not restored and await self._restore_lists(wanted, owner, observed):
                    restored, out_of_date = True, True
                if error.status in _FINAL and not out_of_date:
                    return Outcome(Action.REFUSED, resource, wanted.key, _refusal(wanted, error, exists=observed is not None), observed)
                if not out_of_date or attempt == _MAX_ROUNDS:
                    raise
                observed = await self._read(wanted)
        raise AssertionError("the last attempt returns or raises")

    async def refusal(self, resource: Resource, desired: KubeObject, owner: Owner, observed: Observed) -> Outcome | None:
        """Ask the API server, without writing anything, whether it takes a change of an object of ours. Return its refusal, or None.

        Nothing is asked where the object was written as wanted before. Raises as `ensure` does.
        """
        wanted = self._wanted(resource, desired, owner)
        if not is_owned(observed, owner) or observed.desired_hash == wanted.hash:
            return None
        try:
            await self._client.apply(
                resource,
                wanted.key.namespace,
                wanted.key.name,
                _with_uid(wanted, observed),
                field_manager=self._marks.field_manager,
                force=True,
                metadata_only=True,
                dry_run=True,
            )
        except ApiError as error:
            if error.status in _FINAL and not _is_out_of_date(error):
                return Outcome(Action.REFUSED, resource, wanted.key, _refusal(wanted, error, exists=True), observed)
            if not _is_out_of_date(error):
                raise
        return None

    async def _bring_about(self, wanted: _Wanted, owner: Owner, observed: Observed | None) -> Outcome:
        if observed is None:
            return await self._create(wanted)
        if not is_owned(observed, owner) and not is_left_behind(observed, owner):
            return await self._name_taken(wanted.resource, wanted.key, owner)
        if observed.deleting:
            return Outcome(Action.TERMINATING, wanted.resource, wanted.key, observed=observed)
        intact = self._intact(wanted, observed)
        if intact is not None:
            return Outcome(Action.UNCHANGED, wanted.resource, wanted.key, observed=intact)
        return await self._apply(wanted, observed)

    def _wanted(self, resource: Resource, desired: KubeObject, owner: Owner) -> _Wanted:
        body = self._marked(desired, owner)
        wanted_hash = desired_hash(body)
        metadata = body["metadata"]
        metadata["annotations"] = {**metadata.get("annotations", {}), self._marks.hash_annotation: wanted_hash}
        return _Wanted(resource, key_of(body), body, wanted_hash, owner.uid)

    def _marked(self, desired: KubeObject, owner: Owner) -> KubeObject:
        marks, metadata = self._marks, desired["metadata"]
        labels = {**metadata.get("labels", {}), marks.owner_name_label: owner.name, marks.owner_uid_label: owner.uid}
        return {**desired, "metadata": {**metadata, "labels": labels, "ownerReferences": [owner.reference()]}}

    def _intact(self, wanted: _Wanted, observed: Observed) -> Observed | None:
        """Return the object if it was written as wanted and every field of ours is still ours, with a note of that on its record.

        Whoever else changes or removes a field takes it out of our entry. The `Update` entry of a POST also has the fields that the server
        defaulted, so there it is enough that ours are among them.
        """
        if observed.desired_hash != wanted.hash:
            return None
        if observed.intact_for == wanted.hash:
            return observed
        if not self._has_all_fields(wanted, observed):
            return None
        # Working out the fields takes time, and the answer holds as long as this record does.
        noted = replace(observed, intact_for=observed.desired_hash)
        self._notice.found_intact(wanted.resource, observed, noted)
        return noted

    def _has_all_fields(self, wanted: _Wanted, observed: Observed) -> bool:
        fields = self._fields.expected(wanted.resource, wanted.body, wanted.owner_uid)
        if observed.updated is None:
            return observed.applied is not None and observed.applied in {fields, self._learned.get(fields)}
        return observed.applied is None and (fields <= observed.updated or observed.updated == self._learned.get(fields))

    def _learn(self, wanted: _Wanted, written: Observed) -> None:
        """Accept what the server makes of this shape of object where its schema isn't as we know it: else we would write for ever."""
        actual = written.applied or written.updated
        if actual is None or (wanted.resource, actual) in self._checked or len(self._checked) >= _MAX_CHECKED:
            return
        self._checked.add((wanted.resource, actual))
        if not self._has_all_fields(wanted, written):
            fields = self._fields.expected(wanted.resource, wanted.body, wanted.owner_uid)
            self._learned[fields] = actual
            details = {"object": str(wanted.key), "missing": fields.minus(actual), "more": actual.minus(fields) if written.applied else []}
            _log.warning("The API server keeps other fields of a %s than expected.", wanted.resource.kind, extra=details)

    async def _create(self, wanted: _Wanted) -> Outcome:
        metadata_only, manager = self._reader.metadata_only(wanted.resource), self._marks.field_manager
        request = self._client.create_json(
            wanted.resource, wanted.key.namespace, wanted.body, field_manager=manager, metadata_only=metadata_only
        )
        written = await self._written(wanted, request)
        self._learn(wanted, written)
        return Outcome(Action.CREATED, wanted.resource, wanted.key, observed=written)

    async def _apply(self, wanted: _Wanted, observed: Observed) -> Outcome:
        written = await self._written(wanted, self._upgrade_and_apply(wanted, observed))
        self._learn(wanted, written)
        return Outcome(Action.APPLIED, wanted.resource, wanted.key, observed=written)

    async def _written(self, wanted: _Wanted, write: Awaitable[bytes]) -> Observed:
        written = None
        self._notice.begin_write(wanted.resource, wanted.key)
        try:
            written = self._reader.read(wanted.resource, await write)
        except msgspec.DecodeError as error:
            raise Unreachable(f"What answered was not the API server: {wanted.resource.kind} {wanted.key}.") from error
        finally:
            self._notice.end_write(wanted.resource, wanted.key, written)
        return written

    async def _upgrade_and_apply(self, wanted: _Wanted, observed: Observed) -> bytes:
        if observed.updated is not None:
            await self._upgrade(wanted, observed)
        answer = await self._client.apply(
            wanted.resource,
            wanted.key.namespace,
            wanted.key.name,
            _with_uid(wanted, observed),
            field_manager=self._marks.field_manager,
            force=True,
            metadata_only=self._reader.metadata_only(wanted.resource),
        )
        return _encode(answer)

    async def _upgrade(self, wanted: _Wanted, observed: Observed) -> None:
        """Turn the `Update` entry that a POST left into our `Apply` entry. If the object is gone or another, the apply will say so."""
        resource, key = wanted.resource, wanted.key
        try:
            metadata = (await self._client.get(resource, key.namespace, key.name, metadata_only=True))["metadata"]
        except NotFound:
            return
        entries = upgraded(metadata.get("managedFields", []), self._marks.field_manager)
        if metadata["uid"] != observed.uid or entries is None:
            return
        operations = [
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        ]
        await self._client.json_patch(resource, key.namespace, key.name, operations, metadata_only=True)

    async def _restore_lists(self, wanted: _Wanted, owner: Owner, observed: Observed | None) -> bool:
        """Put back lists whose items somebody displaced. Return whether there were any."""
        if observed is None or not is_owned(observed, owner):
            return False
        resource, key = wanted.resource, wanted.key
        try:
            present = await self._client.get(resource, key.namespace, key.name)
            patch = restoring_patch(structure_of(resource), wanted.body, present) if present["metadata"]["uid"] == observed.uid else []
            if patch:
                await self._client.json_patch(resource, key.namespace, key.name, patch, field_manager=self._marks.field_manager)
        except (NotFound, Conflict, Invalid):
            return False
        return bool(patch)

    async def _read(self, wanted: _Wanted) -> Observed | None:
        resource, key = wanted.resource, wanted.key
        try:
            present = await self._client.get(resource, key.namespace, key.name, metadata_only=self._reader.metadata_only(resource))
        except NotFound:
            return None
        return self._reader.read(resource, _encode(present))

    async def _name_taken(self, resource: Resource, key: ObjectKey, owner: Owner) -> Outcome:
        try:
            metadata = (await self._client.get(resource, key.namespace, key.name, metadata_only=True))["metadata"]
        except NotFound:
            return Outcome(Action.TERMINATING, resource, key)
        if goes_by_itself(metadata, owner):
            return Outcome(Action.TERMINATING, resource, key)
        return Outcome(Action.NAME_TAKEN, resource, key, name_taken(resource, key, metadata))

    async def ensure_secret(self, desired: KubeObject, owner: Owner, present: KubeObject | None) -> Outcome:
        """Make a Secret once, and afterwards put back only what is missing of it: keys, labels and owner reference, never a value.

        `desired` has its values in `data` or `stringData`. `present` is the Secret as just read. Raises as `ensure` does.
        """
        key = key_of(desired)
        body = self._marked(desired, owner)
        if present is None:
            manager = self._marks.field_manager
            try:
                await self._client.create(SECRET, key.namespace, body, field_manager=manager, metadata_only=True)
            except AlreadyExists:
                present = await self._client.get(SECRET, key.namespace, key.name)
            else:
                return Outcome(Action.CREATED, SECRET, key)
        metadata = present["metadata"]
        observed = self._reader.read(SECRET, _encode({"metadata": metadata}))
        if not is_owned(observed, owner) and not is_left_behind(observed, owner):
            return await self._name_taken(SECRET, key, owner)
        if "deletionTimestamp" in metadata:
            return Outcome(Action.TERMINATING, SECRET, key)
        patch = missing_parts(body, present)
        if not patch:
            return Outcome(Action.UNCHANGED, SECRET, key)
        patch["metadata"] = {**patch.get("metadata", {}), "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        manager = self._marks.field_manager
        await self._client.merge_patch(SECRET, key.namespace, key.name, patch, field_manager=manager, metadata_only=True)
        return Outcome(Action.APPLIED, SECRET, key)

    async def delete(self, resource: Resource, observed: Observed, owner: Owner) -> bool:
        """Delete an object that is no longer wanted, if it is the owner's and still as observed. Return whether it was deleted just now.

        Raises `Conflict` if it changed since: look again. A copy that somebody made of an object of ours bears our labels too: without a
        controller reference, only what we wrote ourselves is deleted.
        """
        if not is_owned(observed, owner) or observed.deleting:
            return False
        if not observed.controller_uid and observed.applied is None and observed.updated is None:
            return False
        try:
            await self._client.delete(
                resource, observed.namespace, observed.name, uid=observed.uid, resource_version=observed.resource_version
            )
        except NotFound:
            return False
        return True


def _with_uid(wanted: _Wanted, observed: Observed) -> KubeObject:
    # The UID keeps an apply from making an object anew that is gone: creation is a POST, which sees whose the name is.
    return {**wanted.body, "metadata": {**wanted.body["metadata"], "uid": observed.uid}}


def _is_out_of_date(error: ApiError) -> bool:
    """Return whether the object isn't what we took it for. To an apply with another object's UID the answer is that it can't be changed."""
    return isinstance(error, AlreadyExists | Conflict) or any(cause.get("field") == "metadata.uid" for cause in _causes(error))


def _causes(error: ApiError) -> list[KubeObject]:
    return error.details.get("causes") or []


def _refusal(wanted: _Wanted, error: ApiError, *, exists: bool) -> str:
    """Return the sentence for what the API server will not take, however often it is asked."""
    causes = _causes(error)
    fixed = [cause.get("field", "") for cause in causes if "immutable" in cause.get("message", "")]
    if exists and fixed:
        what = " and ".join(fixed)
        return f"{wanted.resource.kind} {wanted.key} can't be changed: {what} is fixed once set. Delete it to have it made anew."
    reasons = "; ".join(f"{cause['field']}: {cause['message']}" for cause in causes if cause.get("field") and cause.get("message"))
    return f"{wanted.resource.kind} {wanted.key} is not accepted: {reasons or error.message or error.reason}"[:_LONGEST_SENTENCE]
