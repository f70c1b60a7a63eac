from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_voice.kube.managed_fields import FieldSet, FieldSets, upgraded
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import CONFIG_MAP, DEPLOYMENT, SERVICE

NAMES = st.sampled_from(["a", "b", "example.com/c", 'quo"te', "ü"])
VALUES = st.recursive(
    st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=12
)
OBJECTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


def _entry(operation: str, fields: dict[str, Any], *, manager: str = "ours", time: str = "2026-01-01T00:00:00Z", **more: str) -> KubeObject:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "time": time, "fieldsV1": fields, **more}


def test_ports_are_told_apart_by_number_and_protocol_whose_default_is_tcp() -> None:
    body = {"spec": {"ports": [{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP"}]}}
    expected = FieldSets().expected(SERVICE, body, "")
    assert ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name") in expected
    assert ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}') in expected
    assert ("f:spec", "f:ports", 'k:{"port":53,"protocol":"UDP"}', "f:protocol") in expected
    assert ("f:spec", "f:ports") not in expected


def test_what_is_taken_as_one_value_is_one_field() -> None:
    body = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"tolerations": [{"key": "x"}]}}}}
    expected = FieldSets().expected(DEPLOYMENT, body, "")
    assert expected.minus(FieldSets().parse(b"{}", "")) == ["f:spec f:selector", "f:spec f:template f:spec f:tolerations"]


def test_names_and_what_the_server_fills_in_are_nobodys_fields() -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "status": {"a": 1},
        "data": {},
    }
    assert FieldSets().expected(CONFIG_MAP, body, "") == FieldSets().parse(b'{"f:data":{}}', "")


def test_objects_of_different_owners_share_one_set() -> None:
    fields = FieldSets()
    sets = [
        fields.expected(CONFIG_MAP, {"metadata": {"ownerReferences": [{"uid": uid, "kind": "X"}]}, "data": {"k": "v"}}, uid) for uid in "ab"
    ]
    assert sets[0] is sets[1]
    other = fields.expected(CONFIG_MAP, {"metadata": {"ownerReferences": [{"uid": "c", "kind": "X"}]}, "data": {"k": "v"}}, "d")
    assert other != sets[0]


@settings(deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=4))
def test_interning_never_confuses_sets(bodies: list[KubeObject]) -> None:
    fields = FieldSets()
    for body in bodies:
        expected = fields.expected(CONFIG_MAP, {"data": body}, "")
        assert expected == FieldSets().expected(CONFIG_MAP, {"data": body}, "")
        assert expected == fields.parse(msgspec.json.encode(_tree(expected)), "")


def test_sets_are_not_kept_without_bound() -> None:
    fields = FieldSets()
    for number in range(5000):
        fields.expected(CONFIG_MAP, {"data": {str(number): ""}}, "")
    assert len(fields._interned) <= 4096


def _tree(fields: FieldSet) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in fields.paths:
        node = tree
        for element in path.split("\x00"):
            node = node.setdefault(element, {})
    for path in fields.paths:
        node = tree
        for element in path.split("\x00"):
            node = node[element]
        if set(node) - {"."}:
            node["."] = {}
    return tree


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_less_is_less(one: KubeObject, other: KubeObject) -> None:
    fields = FieldSets()
    smaller = fields.expected(CONFIG_MAP, {"data": {"x": one}}, "")
    larger = fields.expected(CONFIG_MAP, {"data": {"x": one, "y": other}}, "")
    assert smaller <= larger
    assert not larger <= smaller
    assert smaller.minus(larger) == []
    assert larger.minus(smaller) != []


class TestUpgrade:
    def test_without_an_entry_of_ours_there_is_nothing_to_do(self) -> None:
        entries = [
            _entry("Update", {"f:a": {}}, manager="kubectl"),
            _entry("Apply", {"f:b": {}}),
            _entry("Update", {"f:s": {}}, subresource="status"),
        ]
        assert upgraded(entries, "ours") is None

    def test_the_entry_of_a_post_becomes_the_apply_entry(self) -> None:
        entries = [_entry("Update", {"f:data": {".": {}, "f:x": {}}}), _entry("Update", {"f:z": {}}, manager="kubectl")]
        assert upgraded(entries, "ours") == [_entry("Apply", {"f:data": {".": {}, "f:x": {}}}), entries[1]]

    def test_all_our_entries_are_united_in_the_apply_entry(self) -> None:
        entries = [
            _entry("Update", {"f:data": {".": {}, "f:x": {}}, "f:leaf": {}}),
            _entry("Apply", {"f:data": {"f:y": {}}, "f:leaf": {"f:inner": {}}}),
            _entry("Update", {"f:more": {}}, apiVersion="v2"),
        ]
        (entry,) = upgraded(entries, "ours") or []
        assert entry["operation"] == "Apply"
        assert entry["fieldsV1"] == {
            "f:data": {".": {}, "f:x": {}, "f:y": {}},
            "f:leaf": {".": {}, "f:inner": {}},
            "f:more": {},
        }

    def test_the_newest_of_several_gives_its_place(self) -> None:
        entries = [_entry("Update", {"f:a": {}}, time="2026-01-02T00:00:00Z"), _entry("Update", {"f:b": {}}, time="2026-01-01T00:00:00Z")]
        (entry,) = upgraded(entries, "ours") or []
        assert entry["time"] == "2026-01-02T00:00:00Z"
        assert entry["fieldsV1"] == {"f:a": {}, "f:b": {}}


def test_a_pull_secret_named_like_its_owner_keeps_its_own_path() -> None:
    fields = FieldSets()

    def deployment(owner: str) -> dict[str, Any]:
        metadata = {"name": f"{owner}-voice", "namespace": "team", "ownerReferences": [{"name": owner, "uid": f"uid-of-{owner}"}]}
        return {"metadata": metadata, "spec": {"template": {"spec": {"imagePullSecrets": [{"name": owner}]}}}}

    one, other = (fields.expected(DEPLOYMENT, deployment(owner), f"uid-of-{owner}") for owner in ("one", "other"))
    assert [path.split()[-1] for path in one.minus(other)] == ['k:{"name":"one"}']
