import msgspec

from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.ownership import Owner, goes_by_itself, is_left_behind, is_owned, missing_parts, name_taken, owner_uid_of
from mistral_voice.kube.resources import CONFIG_MAP

OWNER = Owner("example.com/v1", "Thing", "n", "owner", "u-1")


def _observed(controller_uid: str, labelled_uid: str) -> Observed:
    return Observed(namespace="n", name="x", uid="u", resource_version="1", controller_uid=controller_uid, labelled_uid=labelled_uid)


def test_the_controller_decides_and_our_label_only_where_there_is_none() -> None:
    assert is_owned(_observed("u-1", ""), OWNER)
    assert is_owned(_observed("", "u-1"), OWNER)
    assert not is_owned(_observed("u-2", "u-1"), OWNER)
    assert not is_owned(_observed("", ""), OWNER)
    assert not is_owned(msgspec.structs.replace(_observed("", "u-1"), namespace="copy"), OWNER)


def test_metadata_say_the_same_of_an_owner_as_a_record() -> None:
    label = "example.com/owner-uid"
    controlled = {"ownerReferences": [{"uid": "u-9"}, OWNER.reference()], "labels": {label: "u-2"}}
    assert owner_uid_of(controlled, label) == "u-1"
    assert owner_uid_of({"ownerReferences": None, "labels": {label: "u-2"}}, label) == "u-2"
    assert owner_uid_of({}, label) == ""


def test_what_a_former_namesake_left_without_a_controller_may_be_taken_over() -> None:
    left = msgspec.structs.replace(_observed("", "u-former"), owner_name="owner")
    assert is_left_behind(left, OWNER)
    assert not is_owned(left, OWNER)
    assert not is_left_behind(msgspec.structs.replace(left, owner_name="another"), OWNER)
    assert not is_left_behind(msgspec.structs.replace(left, namespace="copy"), OWNER)
    assert not is_left_behind(msgspec.structs.replace(left, controller_uid="u-9"), OWNER), "its controller's going takes it along"
    assert not is_left_behind(msgspec.structs.replace(left, labelled_uid=""), OWNER), "a foreign object bears no UID"


def test_whose_a_taken_name_is_is_said_as_far_as_it_is_known() -> None:
    key = ObjectKey("n", "x")
    ours, theirs = OWNER.reference(), {"kind": "Deployment", "name": "d", "controller": True}
    assert "belongs to Deployment d." in name_taken(CONFIG_MAP, key, {"ownerReferences": [{**ours, "controller": False}, theirs]})
    assert "was made by helm and kubectl." in name_taken(CONFIG_MAP, key, {"managedFields": [{"manager": "kubectl"}, {"manager": "helm"}]})
    assert "already exists and is not ours." in name_taken(CONFIG_MAP, key, {})


def test_what_belongs_to_a_former_owner_of_the_same_name_or_is_being_deleted_goes_by_itself() -> None:
    ours = OWNER.reference()
    assert goes_by_itself({"ownerReferences": [{**ours, "uid": "u-former"}]}, OWNER)
    assert goes_by_itself({"deletionTimestamp": "2026-11-22T14:30:07Z"}, OWNER)
    assert not goes_by_itself({"ownerReferences": [{**ours, "uid": "u-2", "name": "another"}]}, OWNER)
    assert not goes_by_itself({"ownerReferences": [{**ours, "uid": "u-2", "kind": "Deployment"}]}, OWNER)
    assert not goes_by_itself({"ownerReferences": [{**ours, "uid": "u-former", "controller": False}]}, OWNER)
    assert not goes_by_itself({}, OWNER)


def test_a_secret_gets_back_what_it_lacks_and_keeps_its_values_and_other_owners() -> None:
    desired = {
        "metadata": {"labels": {"a": "1"}, "ownerReferences": [OWNER.reference()]},
        "data": {"token": "new", "more": "m"},
        "stringData": {"plain": "p"},
    }
    other = {"kind": "Other", "uid": "u-9"}
    present = {
        "metadata": {"labels": {"a": "2", "b": "3"}, "ownerReferences": [other, {**OWNER.reference(), "controller": False}]},
        "data": {"token": "kept"},
    }
    assert missing_parts(desired, present) == {
        "metadata": {"labels": {"a": "1"}, "ownerReferences": [other, OWNER.reference()]},
        "data": {"more": "m"},
        "stringData": {"plain": "p"},
    }
    whole = {"metadata": desired["metadata"], "data": {"token": "kept", "more": "m", "plain": "p"}}
    assert missing_parts(desired, whole) == {}
    assert missing_parts(desired, {"metadata": desired["metadata"]}) == {"data": desired["data"], "stringData": desired["stringData"]}
