"""The CustomResourceDefinition: generated, current, structural."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mistral_voice.contract import names
from mistral_voice.contract.crd import crds, integration_crd, main, plan_crd, pool_crd, render

ROOT = Path(__file__).parents[3]
CRD = integration_crd()
VERSION = CRD["spec"]["versions"][0]
FOLDERS = ["crds", "charts/mistral-voice-operator/files/crds"]


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


def nodes_of(crd: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(nodes(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


NODES = nodes_of(CRD)
OF_EACH_KIND = pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["spec"]["names"]["plural"])


def test_generated_files_are_what_the_models_say() -> None:
    assert main([*(str(ROOT / folder) for folder in FOLDERS), "--check"]) == 0, "run `make generate` and commit the result"


def test_drift_is_noticed_and_mended(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    for file in files:
        good = file.read_text()
        file.write_text(good.replace("status", "state"))
        assert main([str(tmp_path), "--check"]) == 1
        file.write_text(good)


@OF_EACH_KIND
def test_text_is_yaml_of_the_definition(crd: dict[str, Any]) -> None:
    assert yaml.safe_load(render(crd)) == crd


def test_names_are_as_announced() -> None:
    assert CRD["metadata"]["name"] == "mistralvoiceintegrations.voice.contractspec.io"
    assert CRD["spec"]["names"]["shortNames"] == ["mvi"]
    assert CRD["spec"]["scope"] == "Namespaced"
    assert (VERSION["name"], VERSION["served"], VERSION["storage"]) == (names.VERSION, True, True)


def test_plans_and_pools_belong_to_no_namespace() -> None:
    assert [(crd["spec"]["scope"], crd["spec"]["names"]["shortNames"]) for crd in (plan_crd(), pool_crd())] == [
        ("Cluster", ["mvplan"]),
        ("Cluster", ["mvpool"]),
    ]


@OF_EACH_KIND
def test_selectable_fields_and_columns_lead_to_fields_that_exist(crd: dict[str, Any]) -> None:
    version = crd["spec"]["versions"][0]
    paths = [field["jsonPath"] for field in version["selectableFields"]]
    paths += [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    looked_for = {re.sub(r"\[\?.*?\)\]|\[0\]", "[]", path) for path in paths} - {".metadata.creationTimestamp"}
    assert looked_for <= set(nodes_of(crd))


def test_subresources_and_selectable_fields_lead_to_fields_that_exist() -> None:
    scale = VERSION["subresources"]["scale"]
    paths = [scale["specReplicasPath"], scale["statusReplicasPath"], scale["labelSelectorPath"]]
    paths += [field["jsonPath"] for field in VERSION["selectableFields"]]
    assert set(paths) <= set(NODES)
    assert VERSION["subresources"]["status"] == {}


@OF_EACH_KIND
def test_every_text_list_and_map_is_bounded(crd: dict[str, Any]) -> None:
    def bounded(path: str, node: dict[str, Any]) -> bool:
        match node.get("type"):
            case "string":
                return path in (".apiVersion", ".kind") or "maxLength" in node or "enum" in node or node.get("format") == "date-time"
            case "array":
                return "maxItems" in node
        return "maxProperties" in node or "additionalProperties" not in node

    assert [path for path, node in nodes_of(crd).items() if not bounded(path, node)] == []


@OF_EACH_KIND
def test_every_field_is_explained(crd: dict[str, Any]) -> None:
    found = nodes_of(crd)
    fields = [path for path in found if path and not path.endswith(("[]", "{}", ".metadata"))]
    assert [path for path in fields if not found[path].get("description")] == [], "kubectl explain reads like documentation"


@OF_EACH_KIND
def test_schema_is_structural(crd: dict[str, Any]) -> None:
    for path, node in nodes_of(crd).items():
        assert not {"$ref", "oneOf", "allOf", "title"} & set(node), path
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in node and "additionalProperties" in node), path


@OF_EACH_KIND
def test_conditions_are_a_map_by_type(crd: dict[str, Any]) -> None:
    conditions = nodes_of(crd)[".status.conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


def test_drain_time_out_has_no_default_in_the_schema() -> None:
    assert "default" not in NODES[".spec.gateway.drainTimeoutSeconds"]
