from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, KeyState, QuarantineReason
from mistral_voice.controlplane.keys.states import NO_USABLE_KEY, KeyRecord
from mistral_voice.controlplane.pool_status import status_of

NOW = 1_795_000_000_000
POOL = KeyPoolSpecification.model_validate({"keys": [{"name": name, "secretRef": {"name": f"mistral-{name}"}} for name in "ab"]})
RECORDS = {
    "mistral-a": KeyRecord("main", "mistral-a", KeyState.ACTIVE, probed_at=NOW),
    "mistral-b": KeyRecord("main", "mistral-b", KeyState.QUARANTINED, QuarantineReason.RATE, NOW + 30_000, message="It rests."),
}


def written(records: dict[str, KeyRecord], before: object = None, now: int = NOW, sessions: int = 3) -> dict[str, object]:
    status = status_of("main", POOL, 7, records, {("main", "mistral-a"): sessions}, before, now)
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_the_status_tells_the_state_of_each_key() -> None:
    status = status_of("main", POOL, 7, RECORDS, {("main", "mistral-a"): 3}, None, NOW)
    assert (status.active_keys, status.conditions[0].status, status.conditions[0].reason) == (1, "True", "KeysActive")
    assert [(key.name, key.state, key.reason, key.sessions) for key in status.keys] == [
        ("a", KeyState.ACTIVE, None, 3),
        ("b", KeyState.QUARANTINED, QuarantineReason.RATE, 0),
    ]


def test_a_status_is_not_written_anew_for_each_probe_and_session() -> None:
    before = written(RECORDS)
    later = {**RECORDS, "mistral-a": KeyRecord("main", "mistral-a", KeyState.ACTIVE, probed_at=NOW + 1000)}
    assert written(later, before, NOW + 5000, sessions=9) == before


def test_a_pool_without_an_active_key_is_not_ready() -> None:
    status = status_of("main", POOL, 7, {"mistral-b": RECORDS["mistral-b"]}, {}, written(RECORDS), NOW + 9000)
    assert (status.active_keys, status.conditions[0].status, status.conditions[0].reason) == (0, "False", "NoActiveKey")


def test_whoever_reads_the_pool_is_told_which_secret_is_unusable() -> None:
    unusable = KeyRecord("main", "mistral-b", KeyState.QUARANTINED, QuarantineReason.AUTH, message=NO_USABLE_KEY)
    status = status_of("main", POOL, 7, {"mistral-b": unusable}, {}, None, NOW)
    assert [key.message for key in status.keys] == ["The Secret mistral-b is missing or holds no usable key."]
