from dataclasses import replace

import pytest

from mistral_voice.contract.lease import KeyOutcome, KeyReference, KeyReport, Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState, QuarantineReason
from mistral_voice.controlplane.keys.states import KeyRecord, Records, chosen, handed_out, reported, settled

NOW = 1_795_000_000_000


def a_pool(**changes: dict[str, object]) -> KeyPoolSpecification:
    keys = [
        {"name": name, "secretRef": {"name": f"mistral-{name}"}, "rateLimitDomain": domain, **changes.get(name, {})}
        for name, domain in (("a", "one"), ("b", "one"), ("c", "two"))
    ]
    return KeyPoolSpecification.model_validate({"region": "EU", "keys": keys})


POOL = a_pool()


def report(key: str, outcome: KeyOutcome, *, probe: bool = False, generation: str = "g1", retry_after: int | None = None) -> KeyReport:
    return KeyReport("main", f"mistral-{key}", generation, outcome, probe, retry_after)


def in_use() -> Records:
    records: Records = settled("main", POOL, {}, {}, NOW)
    for key in "abc":
        records = reported(POOL, records, report(key, KeyOutcome.ACCEPTED, probe=True), NOW)
    return records


def states(records: Records) -> dict[str, str]:
    return {secret[-1]: record.state.value + (f":{record.reason}" if record.reason else "") for secret, record in records.items()}


def choose(records: Records, chance: float = 0.0, pinned: KeyReference | None = None, pool: KeyPoolSpecification = POOL) -> object:
    picked = chosen("main", pool, records, pinned, lambda: chance, NOW)
    return picked if isinstance(picked, Refusal) else picked.secret[-1]


def test_a_new_key_takes_sessions_once_a_probe_was_accepted() -> None:
    fresh = settled("main", POOL, {}, {}, NOW)
    assert set(states(fresh).values()) == {"Probing"}
    assert isinstance(choose(fresh), Refusal)
    assert set(states(in_use()).values()) == {"Active"}


def test_a_refused_key_is_looked_at_once_more_and_then_set_aside() -> None:
    records = reported(POOL, in_use(), report("a", KeyOutcome.REFUSED), NOW)
    assert states(records)["a"] == "Active"
    assert [record.secret for record in handed_out(records, "broker-1", NOW, 5).values()] == ["mistral-a"]
    records = reported(POOL, records, report("a", KeyOutcome.REFUSED, probe=True), NOW)
    assert states(records) == {"a": "Quarantined:auth", "b": "Active", "c": "Active"}
    assert choose(records) == "b"
    records = reported(POOL, records, report("a", KeyOutcome.ACCEPTED, probe=True), NOW)
    assert states(records)["a"] == "Active"


def test_a_refusal_that_a_probe_does_not_confirm_changes_nothing() -> None:
    records = reported(POOL, in_use(), report("a", KeyOutcome.REFUSED), NOW)
    records = reported(POOL, records, report("a", KeyOutcome.ACCEPTED, probe=True), NOW)
    records = reported(POOL, records, report("a", KeyOutcome.REFUSED, probe=True), NOW)
    assert states(records)["a"] == "Active"


def test_a_rate_limit_rests_the_domain_until_the_later_deadline() -> None:
    records = reported(POOL, in_use(), report("a", KeyOutcome.RATE_LIMITED, retry_after=60), NOW)
    records = reported(POOL, records, report("b", KeyOutcome.RATE_LIMITED, retry_after=10), NOW)
    assert states(records) == {"a": "Quarantined:rate", "b": "Quarantined:rate", "c": "Active"}
    assert {record.until for record in records.values()} == {NOW + 60_000, None}
    assert choose(records, 0.0) == choose(records, 0.99) == "c"
    assert states(settled("main", POOL, records, {}, NOW + 60_000)) == {"a": "Active", "b": "Active", "c": "Active"}


def test_a_forbidden_key_is_not_dead() -> None:
    records = reported(POOL, in_use(), report("a", KeyOutcome.FORBIDDEN), NOW)
    records = reported(POOL, records, report("a", KeyOutcome.FORBIDDEN, probe=True), NOW)
    assert states(records)["a"] == "Active"


def test_an_account_without_means_is_set_aside() -> None:
    assert states(reported(POOL, in_use(), report("c", KeyOutcome.BILLING), NOW))["c"] == "Quarantined:billing"


def test_all_keys_set_aside_refuse_with_the_time_until_one_is_back() -> None:
    records = in_use()
    for key, wait in (("a", 90), ("c", 30)):
        records = reported(POOL, records, report(key, KeyOutcome.RATE_LIMITED, retry_after=wait), NOW)
    refusal = choose(records)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry_after_seconds) == (RefusalReason.POOL_EXHAUSTED, 30)


def test_what_a_session_with_the_former_value_meets_is_not_held_against_the_new_one() -> None:
    records = reported(POOL, in_use(), report("a", KeyOutcome.ACCEPTED, probe=True, generation="g2"), NOW)
    for _ in range(3):
        records = reported(POOL, records, report("a", KeyOutcome.REFUSED, generation="g1"), NOW)
    assert states(records)["a"] == "Active"
    assert records["mistral-a"].failures == 0


def test_a_withdrawn_key_drains_and_is_retired_and_its_sessions_keep_it() -> None:
    pool = a_pool(a={"retire": True})
    draining = settled("main", pool, in_use(), {"mistral-a": 2}, NOW)
    assert states(draining)["a"] == "Draining"
    assert choose(draining, 0.0, pool=pool) == "b"
    assert choose(draining, 0.0, KeyReference("main", "mistral-a", "apiKey", "EU"), pool) == "a"
    assert states(settled("main", pool, draining, {}, NOW))["a"] == "Retired"


def test_a_key_under_suspicion_serves_only_where_there_is_no_other() -> None:
    pinned = KeyReference("main", "mistral-a", "apiKey", "EU")
    suspected = reported(POOL, in_use(), report("a", KeyOutcome.REFUSED), NOW)
    assert choose(suspected, 0.0, pinned) == "b"
    alone = a_pool(b={"weight": 0}, c={"weight": 0})
    assert choose(suspected, 0.0, pinned, alone) == choose(suspected, 0.0, pool=alone) == "a"


def test_a_session_leaves_a_dead_key() -> None:
    dead = {**in_use(), "mistral-a": replace(in_use()["mistral-a"], state=KeyState.QUARANTINED, reason=QuarantineReason.AUTH)}
    assert choose(dead, 0.0, KeyReference("main", "mistral-a", "apiKey", "EU")) == "b"


@pytest.mark.parametrize(("chance", "key"), [(0.0, "a"), (0.24, "a"), (0.26, "b"), (0.74, "b"), (0.76, "c"), (0.99, "c")])
def test_weight_decides_how_many_sessions_a_key_gets(chance: float, key: str) -> None:
    assert choose(in_use(), chance, pool=a_pool(b={"weight": 2})) == key


def test_a_key_is_probed_by_one_broker_at_a_time() -> None:
    fresh = settled("main", POOL, {}, {}, NOW)
    first = handed_out(fresh, "broker-1", NOW, 2)
    second = handed_out({**fresh, **first}, "broker-2", NOW, 5)
    assert len(first) == 2
    assert len(second) == 1
    assert handed_out({**fresh, **first, **second}, "broker-3", NOW, 5) == {}
    lost = handed_out({**fresh, **first, **second}, "broker-3", NOW + 30_000, 5)
    assert len(lost) == 3


def test_a_key_that_leaves_the_pool_is_forgotten() -> None:
    smaller = KeyPoolSpecification.model_validate({"keys": [{"name": "a", "secretRef": {"name": "mistral-a"}}]})
    assert states(settled("main", smaller, in_use(), {}, NOW)) == {"a": "Active"}
    assert reported(smaller, {}, report("c", KeyOutcome.REFUSED), NOW) == {}


def test_a_missing_secret_sets_its_key_aside() -> None:
    record: KeyRecord = reported(POOL, in_use(), report("a", KeyOutcome.SECRET_UNUSABLE, probe=True, generation=""), NOW)["mistral-a"]
    assert record.state is KeyState.QUARANTINED
    assert record.message.startswith("Its Secret is missing")
    assert "mistral-a" not in record.message, "people who may not read the pool are told the message too"
