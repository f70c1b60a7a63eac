from typing import Any

from mistral_voice.controller.store import IntegrationStore
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.observed import Observed

KEY = ObjectKey("team", "support")


def integration(uid: str = "u1", version: str = "1", generation: int = 1, **rest: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "team",
        "name": "support",
        "uid": uid,
        "resourceVersion": version,
        "generation": generation,
        "managedFields": [1],
    }
    return {"metadata": metadata, "spec": {"mode": "byok"}, **rest}


def test_a_new_and_a_changed_integration_deserve_a_visit() -> None:
    store = IntegrationStore()
    assert store.put(integration())
    assert store.put(integration(version="2", generation=2))
    assert store.put(integration(version="3", generation=2, status={"issues": []}))


def managed(name: str, plan: Any, namespace: str = "team") -> dict[str, Any]:
    body = integration(f"uid of {namespace}/{name}", spec={"mode": "managed", "planRef": plan})
    return {**body, "metadata": {**body["metadata"], "name": name, "namespace": namespace}}


def test_who_claims_a_plan_is_known_and_who_is_managed_in_a_namespace() -> None:
    store = IntegrationStore()
    for body in (
        integration(),
        managed("one", {"name": "gold"}),
        managed("two", {"name": "silver"}),
        managed("one", {"name": "gold"}, "other"),
    ):
        store.put(body)
    assert store.claiming("gold") == (ObjectKey("team", "one"), ObjectKey("other", "one"))
    assert store.claiming("bronze") == ()
    assert store.managed_in("team") == (ObjectKey("team", "one"), ObjectKey("team", "two"))
    assert len(store.managed_in(None)) == 3
    store.remove(ObjectKey("team", "one"))
    assert store.claiming("gold") == (ObjectKey("other", "one"),)


def test_a_claim_that_can_not_be_read_claims_nothing() -> None:
    store = IntegrationStore()
    odd_references: list[Any] = [None, [], "gold", {}, {"name": None}, {"name": 3}]
    for number, odd in enumerate(odd_references):
        store.put(managed(f"m{number}", odd))
    assert store.managed_in(None) == ()


def test_a_mere_new_version_deserves_none() -> None:
    store = IntegrationStore()
    store.put(integration())
    assert not store.put(integration(version="2"))
    stored = store.get(KEY)
    assert stored is not None
    assert stored.resource_version == "2"


def test_the_echo_of_our_own_status_deserves_none_but_a_strangers_does() -> None:
    store = IntegrationStore()
    body = integration()
    store.put(body)
    with store.expecting(body, {"observedGeneration": 1}):
        assert not store.put(integration(version="2", status={"observedGeneration": 1}))
        assert store.put(integration(version="3", status={"observedGeneration": 7}))


def test_a_status_that_is_no_longer_being_written_is_somebodys_change() -> None:
    store = IntegrationStore()
    body = integration()
    store.put(body)
    with store.expecting(body, {"observedGeneration": 1}):
        store.renew(integration(version="2", status={"observedGeneration": 1}))
    assert not store.put(integration(version="2", status={"observedGeneration": 1})), "the echo came after the answer"
    assert store.put(integration(version="3", status={"observedGeneration": 7}))
    assert store.put(integration(version="4", status={"observedGeneration": 1})), "nobody is writing it any more"


def test_the_answer_to_a_write_never_hides_a_newer_change_that_the_watch_told_first() -> None:
    store = IntegrationStore()
    body = integration(version="9")
    store.put(body)
    with store.expecting(body, {"observedGeneration": 1}):
        assert store.put(integration(version="11", generation=2, status={"observedGeneration": 1}))
        store.renew(integration(version="10", status={"observedGeneration": 1}))
    stored = store.get(KEY)
    assert stored is not None
    assert (stored.resource_version, stored.decoded()["metadata"]["generation"]) == ("11", 2)


def test_the_answer_to_a_write_never_revives_an_integration_that_was_deleted_meanwhile() -> None:
    store = IntegrationStore()
    body = integration()
    store.put(body)
    with store.expecting(body, {"observedGeneration": 1}):
        store.remove(KEY, "u1")
        store.renew(integration(version="2", status={"observedGeneration": 1}))
    assert store.get(KEY) is None


def test_a_successor_of_the_same_name_is_another_integration() -> None:
    store = IntegrationStore()
    store.put(integration())
    assert store.put(integration(uid="u2"))
    assert store.key_of("u1") is None
    store.remove(KEY, "u1")
    assert store.key_of("u2") == KEY
    store.remove(KEY, "u2")
    assert store.get(KEY) is None
    assert len(store) == 0


def test_field_managers_are_not_kept() -> None:
    store = IntegrationStore()
    store.put(integration())
    stored = store.get(KEY)
    assert stored is not None
    assert "managedFields" not in stored.decoded()["metadata"]


def test_it_tells_whose_status_says_that_a_roll_out_is_under_way() -> None:
    store = IntegrationStore()
    store.put(integration(status={"conditions": [{"type": "Reconciling", "status": "True", "reason": "RollingOut"}]}))
    assert store.rolls_out(KEY)
    store.put(integration(version="2", status={"issues": [{"message": "RollingOut"}]}))
    assert not store.rolls_out(KEY)


def child(namespace: str, owner_uid: str, owner_name: str = "support") -> Observed:
    return Observed(namespace=namespace, name="x", uid="c", resource_version="1", labelled_uid=owner_uid, owner_name=owner_name)


def test_a_child_concerns_its_owner_in_its_own_namespace_or_else_the_owners_namesake_there() -> None:
    store = IntegrationStore()
    store.put(integration())
    assert store.concerned_by(child("team", "u1")) == KEY
    assert store.concerned_by(child("team", "u-former")) == KEY
    assert store.concerned_by(child("team", "u-former", "another")) is None
    assert store.concerned_by(child("copy-of-team", "u1")) is None
    store.put({**integration(uid="u2"), "metadata": {**integration(uid="u2")["metadata"], "namespace": "copy-of-team"}})
    assert store.concerned_by(child("copy-of-team", "u1")) == ObjectKey("copy-of-team", "support")


def test_what_an_answer_told_before_the_watch_is_known_and_its_successor_is_not() -> None:
    store = IntegrationStore()
    assert not store.knows(integration())
    store.put(integration(version="5"))
    assert store.knows(integration(version="5"))
    assert store.knows(integration(version="4"))
    assert not store.knows(integration(version="6"))
    assert not store.knows(integration(uid="u2", version="4"))
