"""Pools and the states of their keys."""

from collections.abc import Mapping

from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState
from mistral_voice.controlplane.api.answers import Pool, PoolKey
from mistral_voice.controlplane.keys.states import KeyRecord, Records
from mistral_voice.controlplane.ledger.window import moment


def pool(name: str, spec: KeyPoolSpecification, records: Records, sessions: Mapping[tuple[str, str], int]) -> Pool:
    """Return a pool's keys. Names of Secrets stay out of it, as does all that is in them."""
    keys = []
    for key in spec.keys:
        record = records.get(key.secret_ref.name) or KeyRecord(name, key.secret_ref.name)
        keys.append(
            PoolKey(
                name=key.name,
                state=record.state,
                rate_limit_domain=key.rate_limit_domain,
                weight=key.weight,
                sessions=sessions.get((name, key.secret_ref.name), 0),
                reason=record.reason,
                message=record.message,
                until=None if record.until is None else moment(record.until),
                changed_at=moment(record.changed_at) if record.changed_at else None,
                probed_at=None if record.probed_at is None else moment(record.probed_at),
            )
        )
    return Pool(pool=name, region=spec.region, active_keys=sum(key.state is KeyState.ACTIVE for key in keys), keys=tuple(keys))
