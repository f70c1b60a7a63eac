"""What we compute about field management, against what a real API server keeps."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mistral_voice.kube import resources
from mistral_voice.kube.client import Client
from mistral_voice.kube.list_types import STRUCTURES, Structure
from mistral_voice.kube.managed_fields import FieldSet, FieldSets, upgraded
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.ownership import Owner
from mistral_voice.kube.resources import Resource
from tests.api.kube.conftest import MARKS
from tests.api.kube.samples import SAMPLES
from tests.cluster import ApiServer

MANAGER = MARKS.field_manager
KINDS = pytest.mark.parametrize("resource", SAMPLES, ids=lambda resource: resource.kind)


def _built(resource: Resource, namespace: str, owner: Owner) -> KubeObject:
    body = SAMPLES[resource](namespace)
    return {
        **body,
        "metadata": {**body["metadata"], "ownerReferences": [owner.reference()], "finalizers": ["example.com/b", "example.com/a"]},
    }


def _entry(answer: KubeObject, operation: str) -> FieldSet:
    (entry,) = (entry for entry in answer["metadata"]["managedFields"] if entry["manager"] == MANAGER and entry["operation"] == operation)
    return FieldSets().parse(msgspec.json.encode(entry["fieldsV1"]), answer["metadata"]["ownerReferences"][0]["uid"])


@KINDS
async def test_the_fields_of_an_applied_object_are_known_beforehand(
    resource: Resource, client: Client, namespace: str, owner: Owner, fields: FieldSets, http_routes: None
) -> None:
    body = _built(resource, namespace, owner)
    answer = await client.apply(resource, namespace, "sample", body, field_manager=MANAGER)
    actual, expected = _entry(answer, "Apply"), fields.expected(resource, body, owner.uid)
    assert (expected.minus(actual), actual.minus(expected)) == ([], [])
    assert expected == actual


@KINDS
async def test_a_created_object_has_at_least_the_fields_of_an_applied_one(
    resource: Resource, client: Client, namespace: str, owner: Owner, fields: FieldSets, http_routes: None
) -> None:
    body = _built(resource, namespace, owner)
    answer = await client.create(resource, namespace, body, field_manager=MANAGER)
    expected = fields.expected(resource, body, owner.uid)
    assert expected.minus(_entry(answer, "Update")) == []
    assert expected <= _entry(answer, "Update")


@KINDS
async def test_after_the_upgrade_of_a_created_object_an_apply_leaves_exactly_its_own_fields(
    resource: Resource, client: Client, namespace: str, owner: Owner, fields: FieldSets, http_routes: None
) -> None:
    body = _built(resource, namespace, owner)
    made = await client.create(resource, namespace, body, field_manager=MANAGER)
    entries = upgraded(made["metadata"]["managedFields"], MANAGER)
    await client.json_patch(resource, namespace, "sample", [{"op": "replace", "path": "/metadata/managedFields", "value": entries}])
    changed = json.loads(json.dumps(body))
    del changed["metadata"]["labels"]["tier"]
    answer = await client.apply(resource, namespace, "sample", changed, field_manager=MANAGER)
    assert "tier" not in answer["metadata"]["labels"]
    assert [entry["operation"] for entry in answer["metadata"]["managedFields"]] == ["Apply"]
    assert _entry(answer, "Apply") == fields.expected(resource, changed, owner.uid)
    assert _meaning(answer) == _meaning(made)


def _meaning(answer: KubeObject) -> KubeObject:
    return {key: value for key, value in answer.items() if key not in {"metadata", "status"}}


@pytest.mark.parametrize("resource", [kind for kind in STRUCTURES if kind != resources.HTTP_ROUTE], ids=lambda resource: resource.kind)
def test_the_list_types_are_those_of_the_servers_schema(resource: Resource, cluster: ApiServer) -> None:
    group = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
    schemas = json.loads(cluster.kubectl("get", "--raw", f"/openapi/v3/{group}").stdout)["components"]["schemas"]
    (name,) = (name for name, schema in schemas.items() if _is_of_kind(schema, resource))
    assert dict(_flat(STRUCTURES[resource])) == dict(_published(schemas, schemas[name], "", ()))


def _is_of_kind(schema: dict[str, Any], resource: Resource) -> bool:
    kinds = schema.get("x-kubernetes-group-version-kind", [])
    return bool(kinds == [{"group": resource.group, "version": resource.version, "kind": resource.kind}])


def _flat(structure: Structure, path: str = "") -> Iterator[tuple[str, Any]]:
    if structure.is_set:
        yield path, "set"
    if structure.keys is not None:
        yield path, dict(structure.keys)
        path += "[]"
    if structure.atomic:
        yield path, "atomic"
        return
    for name, inner in structure.fields.items():
        yield from _flat(inner, f"{path}.{name}")


def _published(schemas: dict[str, Any], schema: dict[str, Any], path: str, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if path in {".status", ".metadata.managedFields"}:
        return
    map_type, list_type = schema.get("x-kubernetes-map-type"), schema.get("x-kubernetes-list-type")
    keys, item_types = schema.get("x-kubernetes-list-map-keys", []), schema.get("items", {})
    reference = next((part["$ref"] for part in [schema, *schema.get("allOf", [])] if "$ref" in part), None)
    if reference:
        name = reference.rsplit("/", 1)[1]
        if name in above:
            return
        above = (*above, name)
        schema = schemas[name]
        map_type = map_type or schema.get("x-kubernetes-map-type")
    if list_type == "set":
        yield path, "set"
    elif list_type == "map":
        item = next(part["$ref"] for part in [item_types, *item_types.get("allOf", [])] if "$ref" in part).rsplit("/", 1)[1]
        defaults = {key: schemas[item]["properties"][key].get("default") or None for key in keys}
        yield path, defaults
        yield from _published(schemas, item_types, f"{path}[]", above)
    elif map_type == "atomic":
        yield path, "atomic"
    else:
        for name, inner in schema.get("properties", {}).items():
            yield from _published(schemas, inner, f"{path}.{name}", above)
