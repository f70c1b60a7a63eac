"""What happened to keys, for the audit: read from their records before and after. Neither values nor Secrets' names are in it."""

from collections.abc import Iterator, Mapping

from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState, QuarantineReason
from mistral_voice.controlplane.keys.states import KeyRecord
from mistral_voice.controlplane.ledger.records import AuditEntry

EVENTS = ("KeyAdded", "KeyActive", "KeyQuarantined", "KeyDraining", "KeyRetired", "KeyRotated", "KeyRemoved")

_Table = Mapping[str, Mapping[str, KeyRecord]]
_WHY = {
    QuarantineReason.AUTH: "Mistral refuses it, or its Secret holds no usable key",
    QuarantineReason.RATE: "the rate limit of its domain was reached",
    QuarantineReason.BILLING: "its account can't pay",
}


def events(pools: Mapping[str, KeyPoolSpecification], before: _Table, after: _Table, now: int) -> Iterator[AuditEntry]:
    """Return what is to be kept of a change, in the order of pools and keys."""
    for pool in sorted(before.keys() | after.keys()):
        was, found = before.get(pool, {}), after.get(pool, {})
        names = {key.secret_ref.name: key.name for key in pools[pool].keys} if pool in pools else {}
        for secret in sorted(was.keys() | found.keys()):
            for event, reason, message in _of(names.get(secret, ""), was.get(secret), found.get(secret)):
                yield AuditEntry(now, event, reason=reason, message=message, pool=pool)


def _of(name: str, was: KeyRecord | None, found: KeyRecord | None) -> Iterator[tuple[str, str, str]]:
    if found is None:
        yield "KeyRemoved", "", "A key was taken out of the pool."
        return
    if was is None:
        yield "KeyAdded", "", f"Key {name} is new, and is looked at before it serves."
        return
    if was.generation and found.generation != was.generation:
        yield "KeyRotated", "", f"The Secret of key {name} holds another value; sessions that run keep the former."
    if (found.state, found.reason) != (was.state, was.reason):
        yield from _state(name, found)


def _state(name: str, found: KeyRecord) -> Iterator[tuple[str, str, str]]:
    match found.state:
        case KeyState.ACTIVE:
            yield "KeyActive", "", f"Key {name} takes new sessions."
        case KeyState.QUARANTINED if found.reason is not None:
            yield "KeyQuarantined", found.reason.value, f"Key {name} takes no new sessions: {_WHY[found.reason]}."
        case KeyState.DRAINING:
            yield "KeyDraining", "", f"Key {name} is withdrawn; the sessions that hold it go on."
        case KeyState.RETIRED:
            yield "KeyRetired", "", f"Key {name} is withdrawn, and no session holds it any more."
        case _:
            return
