"""The life of a key, decided by what brokers saw of it: pure functions. Times are milliseconds since 1970."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mistral_voice.contract.lease import KeyOutcome, KeyReference, KeyReport, Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState, PoolKey, QuarantineReason

PROBE_EVERY_MS: Final = 300_000
PROBE_AGAIN_MS: Final = 60_000
PROBE_LASTS_MS: Final = 30_000
"""A broker that says nothing of a probe for so long has lost it."""
RATE_LIMITED_MS: Final = 30_000
"""How long a domain rests where Mistral doesn't say."""
LONGEST_REST_MS: Final = 3_600_000
NO_USABLE_KEY: Final = "Its Secret is missing or holds no usable key."
"""Names no Secret: the API shows it. The pool's own status does."""
REFUSALS: Final = 2
"""So often in a row must a key be refused, the last time by a probe, before it is set aside."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key of a pool."""

    pool: str
    secret: str
    state: KeyState = KeyState.PROBING
    reason: QuarantineReason | None = None
    until: int | None = None
    generation: str = ""
    failures: int = 0
    message: str = ""
    changed_at: int = 0
    probed_at: int | None = None
    probe_due_at: int = 0
    probe_broker: str = ""
    probe_until: int = 0


Records = Mapping[str, KeyRecord]
"""The records of one pool, by Secret."""


def settled(pool: str, spec: KeyPoolSpecification, records: Records, sessions: Mapping[str, int], now: int) -> dict[str, KeyRecord]:
    """Return the records as the pool's spec and the time have it: keys added and removed, rests that are over, those withdrawn."""
    found = {}
    for key in spec.keys:
        secret = key.secret_ref.name
        record = records.get(secret) or KeyRecord(pool, secret, changed_at=now, probe_due_at=now, message="It was not looked at yet.")
        found[secret] = _of_time(key, record, sessions.get(secret, 0), now)
    return found


def _of_time(key: PoolKey, record: KeyRecord, sessions: int, now: int) -> KeyRecord:
    if key.retire:
        if sessions:
            return _become(record, KeyState.DRAINING, now, f"It is withdrawn; {sessions} sessions still hold it.")
        return _become(record, KeyState.RETIRED, now, "It is withdrawn, and no session holds it.")
    if record.state in {KeyState.DRAINING, KeyState.RETIRED}:
        return replace(_become(record, KeyState.PROBING, now, "It is taken into use again."), probe_due_at=now)
    if record.state is KeyState.QUARANTINED and record.reason is QuarantineReason.RATE and record.until is not None and record.until <= now:
        return _become(record, KeyState.ACTIVE, now, "")
    return record


def reported(spec: KeyPoolSpecification, records: Records, report: KeyReport, now: int) -> dict[str, KeyRecord]:
    """Return the records of a pool after what a broker saw of one of its keys."""
    record = records.get(report.secret)
    if record is None:
        return dict(records)
    if not report.was_probe and record.generation and report.generation != record.generation:
        # A session still holds the former value: that says nothing of the one in the Secret now, but that it's time to look.
        return {**records, report.secret: replace(record, probe_due_at=min(record.probe_due_at, now))}
    if report.was_probe:
        record = _probed(record, report.generation, now)
    if report.outcome is KeyOutcome.RATE_LIMITED:
        return _rest(spec, {**records, report.secret: record}, report, now)
    return {**records, report.secret: _after(record, report, now)}


def _probed(record: KeyRecord, generation: str, now: int) -> KeyRecord:
    failures = record.failures if generation == record.generation else 0
    return replace(
        record,
        generation=generation,
        failures=failures,
        probed_at=now,
        probe_due_at=now + PROBE_EVERY_MS,
        probe_broker="",
        probe_until=0,
    )


def _after(record: KeyRecord, report: KeyReport, now: int) -> KeyRecord:
    withdrawn = record.state in {KeyState.DRAINING, KeyState.RETIRED}
    match report.outcome:
        case KeyOutcome.ACCEPTED | KeyOutcome.FORBIDDEN:
            # 403 is a permission: the key itself was taken. What only passed by doesn't lift a quarantine; a probe does.
            if withdrawn or not report.was_probe:
                return replace(record, failures=0) if record.state is not KeyState.QUARANTINED else record
            if record.state is KeyState.QUARANTINED and record.reason is QuarantineReason.RATE:
                return replace(record, failures=0)
            message = "" if report.outcome is KeyOutcome.ACCEPTED else "Mistral takes the key but denies it a permission (403)."
            return replace(_become(record, KeyState.ACTIVE, now, message), failures=0)
        case KeyOutcome.REFUSED:
            failures = record.failures + 1
            if not report.was_probe or failures < REFUSALS:
                return replace(record, failures=failures, probe_due_at=now)
            return _quarantined(replace(record, failures=failures), QuarantineReason.AUTH, "Mistral refuses the key (401).", now)
        case KeyOutcome.BILLING:
            return _quarantined(record, QuarantineReason.BILLING, "Mistral says that the account can't pay (402).", now)
        case KeyOutcome.SECRET_UNUSABLE:
            quarantined = _quarantined(record, QuarantineReason.AUTH, NO_USABLE_KEY, now)
            return replace(quarantined, probe_due_at=now + PROBE_AGAIN_MS)
        case _:
            return replace(record, probe_due_at=min(record.probe_due_at, now + PROBE_AGAIN_MS))


def _quarantined(record: KeyRecord, reason: QuarantineReason, message: str, now: int) -> KeyRecord:
    if record.state in {KeyState.DRAINING, KeyState.RETIRED}:
        return record
    if record.state is KeyState.QUARANTINED and record.reason is reason:
        return record
    return replace(record, state=KeyState.QUARANTINED, reason=reason, until=None, message=message, changed_at=now)


def _rest(spec: KeyPoolSpecification, records: Records, report: KeyReport, now: int) -> dict[str, KeyRecord]:
    """Let all keys of the domain rest, until the later of what is known and what Mistral asks for."""
    wait = RATE_LIMITED_MS if report.retry_after_seconds is None else report.retry_after_seconds * 1000
    domains = {key.secret_ref.name: key.rate_limit_domain for key in spec.keys}
    after = dict(records)
    for secret, record in records.items():
        if domains.get(secret) != domains.get(report.secret) or not _can_rest(record):
            continue
        until = max(record.until or 0, now + min(wait, LONGEST_REST_MS))
        changed = record.changed_at if record.state is KeyState.QUARANTINED else now
        sentence = "Mistral's rate limit was reached (429) by a key of its domain."
        after[secret] = replace(
            record, state=KeyState.QUARANTINED, reason=QuarantineReason.RATE, until=until, message=sentence, changed_at=changed
        )
    return after


def _can_rest(record: KeyRecord) -> bool:
    return record.state is KeyState.ACTIVE or (record.state is KeyState.QUARANTINED and record.reason is QuarantineReason.RATE)


def _become(record: KeyRecord, state: KeyState, now: int, message: str) -> KeyRecord:
    changed = now if record.state is not state else record.changed_at
    return replace(record, state=state, reason=None, until=None, message=message, changed_at=changed)


def handed_out(records: Records, broker: str, now: int, most: int) -> dict[str, KeyRecord]:
    """Return the records of those keys that this broker shall probe now: due, and in nobody's hands."""
    due = [
        record
        for record in records.values()
        if record.state is not KeyState.RETIRED and record.probe_due_at <= now and record.probe_until <= now
    ]
    due.sort(key=lambda record: record.probe_due_at)
    return {record.secret: replace(record, probe_broker=broker, probe_until=now + PROBE_LASTS_MS) for record in due[:most]}


def chosen(
    pool: str, spec: KeyPoolSpecification, records: Records, pinned: KeyReference | None, chance: Callable[[], float], now: int
) -> KeyReference | Refusal:
    """Return the key of a session: the one that it has had while that serves, else one of those in use, by weight."""
    keys = {key.secret_ref.name: key for key in spec.keys}
    kept = pinned is not None and pinned.pool == pool and pinned.secret in keys and _serves(records.get(pinned.secret))
    usable = [key for secret, key in keys.items() if key.weight and _is_active(records.get(secret), now)]
    sound = [key for key in usable if not records[key.secret_ref.name].failures]
    if pinned is not None and kept and not (records[pinned.secret].failures and sound):
        return pinned
    # A key that was refused is looked at once more; until then it serves only where there is no other.
    usable = sound or usable
    weights = sum(key.weight for key in usable)
    if not weights:
        return _exhausted(records.values(), now)
    mark = chance() * weights
    for key in usable:
        mark -= key.weight
        if mark < 0:
            return reference(pool, spec, key)
    return reference(pool, spec, usable[-1])


def reference(pool: str, spec: KeyPoolSpecification, key: PoolKey) -> KeyReference:
    """Return a key as brokers are told of it."""
    return KeyReference(pool, key.secret_ref.name, key.secret_ref.key, spec.region.value)


def _serves(record: KeyRecord | None) -> bool:
    """Tell whether a session may keep it: also one that is withdrawn, or whose domain rests, but not a dead one."""
    return record is not None and (
        record.state in {KeyState.ACTIVE, KeyState.DRAINING, KeyState.PROBING} or record.reason is QuarantineReason.RATE
    )


def _is_active(record: KeyRecord | None, now: int) -> bool:
    if record is None:
        return False
    rested = record.reason is QuarantineReason.RATE and record.until is not None and record.until <= now
    return record.state is KeyState.ACTIVE or (record.state is KeyState.QUARANTINED and rested)


def _exhausted(records: Iterable[KeyRecord], now: int) -> Refusal:
    ends = [record.until for record in records if record.reason is QuarantineReason.RATE and record.until is not None]
    wait = max(1, -(-(min(ends) - now) // 1000)) if ends else 30
    return Refusal(RefusalReason.POOL_EXHAUSTED, "None of the platform's keys can serve a new session at present.", wait)
