"""The records of one kind's objects, kept current by a watch and by what we write ourselves."""

from collections.abc import Callable, Iterator

from mistral_voice.kube.objects import ObjectKey, is_later
from mistral_voice.kube.observed import Observed

OnChange = Callable[[Observed, bool], None]
"""Told of an object that another changed, made or deleted (the second argument says deleted), or that a list brought to light."""


class WatchedObjects:
    """Records by UID and by owner.

    What we write ourselves is noted by `begin_write` and `end_write`, so that its echo on the watch, which may come before or after the
    write's own answer, is told from a change by others.
    """

    def __init__(self, on_change: OnChange) -> None:
        self._on_change = on_change
        self._by_uid: dict[str, Observed] = {}
        self._by_owner: dict[str, tuple[Observed, ...]] = {}
        self._held: dict[ObjectKey, list[tuple[Observed, bool]]] = {}
        self._listings: list[Listing] = []

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[Observed]:
        return iter(self._by_uid.values())

    def of_owner(self, owner_uid: str, namespace: str) -> tuple[Observed, ...]:
        """Return the objects that belong to an owner, in its namespace alone: a namespace's copy bears the same UIDs in its labels."""
        owned = self._by_owner.get(owner_uid, ())
        return tuple(observed for observed in owned if observed.namespace == namespace)

    def get(self, uid: str) -> Observed | None:
        """Return the record of an object."""
        return self._by_uid.get(uid)

    def seen(self, observed: Observed) -> None:
        """Take in what a watch or a list says of an object."""
        if self._hold(observed, deleted=False):
            return
        known = self._by_uid.get(observed.uid)
        if known is None or is_newer(observed, known):
            self._store(observed, known)
            self._on_change(observed, False)

    def gone(self, observed: Observed) -> None:
        """Take in that an object is no longer there, or no longer selected."""
        if self._hold(observed, deleted=True):
            return
        known = self._by_uid.pop(observed.uid, None)
        if known is not None:
            self._unlink(known)
            self._on_change(known, True)

    def begin_write(self, key: ObjectKey) -> None:
        """Hold back what the watch says of an object until our write to it is over."""
        self._held.setdefault(key, [])

    def end_write(self, key: ObjectKey, written: Observed | None) -> None:
        """Take in what we wrote, if we did, and then what the watch said meanwhile that is news."""
        if written is not None:
            known = self._by_uid.get(written.uid)
            if known is None or is_newer(written, known):
                self._store(written, known)
            for listing in self._listings:
                listing.uids.add(written.uid)
        for observed, deleted in self._held.pop(key, ()):
            if deleted:
                self.gone(observed)
            else:
                self.seen(observed)

    def note(self, observed: Observed, noted: Observed) -> None:
        """Take a record with a note of ours on it in the place of the same record without, unless there is a later one by now."""
        if self._by_uid.get(observed.uid) is observed:
            self._store(noted, observed)

    def listing(self, namespace: str | None) -> "Listing":
        """Begin to compare the records with a list of one namespace, or of all."""
        listing = Listing(self, namespace)
        self._listings.append(listing)
        return listing

    def end_listing(self, listing: "Listing", *, complete: bool) -> None:
        """End a comparison. What a complete list did not have is gone: a watch does not tell of deletions while it was down."""
        self._listings.remove(listing)
        if not complete:
            return
        missing = [observed for uid, observed in self._by_uid.items() if uid not in listing.uids]
        for observed in missing:
            if listing.namespace in {None, observed.namespace}:
                self.gone(observed)

    def _hold(self, observed: Observed, *, deleted: bool) -> bool:
        held = self._held.get(observed.key) if self._held else None
        if held is None:
            return False
        held.append((observed, deleted))
        return True

    def _store(self, observed: Observed, known: Observed | None) -> None:
        if known is not None:
            self._unlink(known)
        self._by_uid[observed.uid] = observed
        if observed.owner_uid:
            self._by_owner[observed.owner_uid] = (*self._by_owner.get(observed.owner_uid, ()), observed)

    def _unlink(self, known: Observed) -> None:
        rest = tuple(other for other in self._by_owner.get(known.owner_uid, ()) if other.uid != known.uid)
        if rest:
            self._by_owner[known.owner_uid] = rest
        else:
            self._by_owner.pop(known.owner_uid, None)


class Listing:
    """One comparison with a list, as a context: leaving it without an error ends it as complete."""

    def __init__(self, objects: WatchedObjects, namespace: str | None) -> None:
        self._objects = objects
        self.namespace = namespace
        self.uids: set[str] = set()

    def seen(self, observed: Observed) -> None:
        """Take in one item of the list."""
        self.uids.add(observed.uid)
        self._objects.seen(observed)

    def __enter__(self) -> "Listing":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._objects.end_listing(self, complete=kind is None)


def is_newer(one: Observed, other: Observed) -> bool:
    """Return whether a record is a later one of the same object."""
    return is_later(one.resource_version, other.resource_version)
