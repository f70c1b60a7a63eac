"""The status of a pool: the state of each of its keys, and whether any can serve."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyPoolStatus, KeyState, PoolKeyStatus
from mistral_voice.contract.v1alpha1.status import Condition
from mistral_voice.controlplane.keys.states import NO_USABLE_KEY, KeyRecord
from mistral_voice.controlplane.ledger.window import moment

Sessions = Mapping[tuple[str, str], int]


def status_of(
    pool: str, spec: KeyPoolSpecification, generation: int, records: Mapping[str, KeyRecord], sessions: Sessions, before: Any, now: int
) -> KeyPoolStatus:
    """Return the status to write. `before` is the one that stands, of which the times of what hasn't changed are kept."""
    keys = []
    for key in spec.keys:
        record = records.get(key.secret_ref.name)
        if record is None:
            continue
        keys.append(
            PoolKeyStatus(
                name=key.name,
                state=record.state,
                reason=record.reason,
                message=_message(record) or None,
                until=None if record.until is None else moment(record.until - record.until % 1000),
                # To the hour, so that a status isn't written anew for each look at a key.
                last_probe_time=None if record.probed_at is None else moment(record.probed_at - record.probed_at % 3_600_000),
                sessions=_kept_sessions(before, key.name, record, sessions.get((pool, key.secret_ref.name), 0)),
            )
        )
    active = sum(key.state is KeyState.ACTIVE for key in keys)
    ready = Condition(
        type="Ready",
        status="True" if active else "False",
        reason="KeysActive" if active else "NoActiveKey",
        message=f"{active} of {len(spec.keys)} keys take new sessions."
        if active
        else "No key takes new sessions: plans of the pool refuse.",
        last_transition_time=_transition(before, "True" if active else "False", now),
        observed_generation=generation,
    )
    return KeyPoolStatus(observed_generation=generation, conditions=(ready,), active_keys=active, keys=tuple(keys))


def _message(record: KeyRecord) -> str:
    """Return what is known of a key. Who reads the pool reads its Secrets' names there, and has to know which one to mend."""
    return f"The Secret {record.secret} is missing or holds no usable key." if record.message == NO_USABLE_KEY else record.message


def _kept_sessions(before: Any, name: str, record: KeyRecord, count: int) -> int:
    """Return the count as of the last change of state."""
    for key in (before or {}).get("keys") or ():
        if key.get("name") == name and key.get("state") == record.state.value and isinstance(key.get("sessions"), int):
            return int(key["sessions"])
    return count


def _transition(before: Any, status: str, now: int) -> datetime:
    for condition in (before or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == status:
            try:
                return datetime.fromisoformat(condition["lastTransitionTime"])
            except (KeyError, ValueError):
                break
    return moment(now - now % 1000)
