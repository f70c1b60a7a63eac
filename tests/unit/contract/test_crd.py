"""The CustomResourceDefinition: generated, current, structural."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mistral_voice.contract import names
from mistral_voice.contract.crd import integration_crd, main, render

ROOT = Path(__file__).parents[3]
CRD = integration_crd()
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
FOLDERS = ["crds", "charts/mistral-voice-operator/files/crds"]


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


NODES = dict(nodes(SCHEMA))


def test_generated_files_are_what_the_models_say() -> None:
    assert main([*(str(ROOT / folder) for folder in FOLDERS), "--check"]) == 0, "run `make generate` and commit the result"


def test_drift_is_noticed_and_mended(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    [file] = tmp_path.iterdir()
    file.write_text(file.read_text().replace("byok", "byo"))
    assert main([str(tmp_path), "--check"]) == 1


def test_text_is_yaml_of_the_definition() -> None:
    assert yaml.safe_load(render(CRD)) == CRD


def test_names_are_as_announced() -> None:
    assert CRD["metadata"]["name"] == "mistralvoiceintegrations.voice.contractspec.io"
    assert CRD["spec"]["names"]["shortNames"] == ["mvi"]
    assert CRD["spec"]["scope"] == "Namespaced"
    assert (VERSION["name"], VERSION["served"], VERSION["storage"]) == (names.VERSION, True, True)


def test_subresources_and_selectable_fields_lead_to_fields_that_exist() -> None:
    scale = VERSION["subresources"]["scale"]
    paths = [scale["specReplicasPath"], scale["statusReplicasPath"], scale["labelSelectorPath"]]
    paths += [field["jsonPath"] for field in VERSION["selectableFields"]]
    assert set(paths) <= set(NODES)
    assert VERSION["subresources"]["status"] == {}


def test_every_text_list_and_map_is_bounded() -> None:
    def bounded(path: str, node: dict[str, Any]) -> bool:
        match node.get("type"):
            case "string":
                return path in (".apiVersion", ".kind") or "maxLength" in node or "enum" in node or node.get("format") == "date-time"
            case "array":
                return "maxItems" in node
        return "maxProperties" in node or "additionalProperties" not in node

    assert [path for path, node in NODES.items() if not bounded(path, node)] == []


def test_every_field_is_explained() -> None:
    fields = [path for path in NODES if path and not path.endswith(("[]", "{}", ".metadata"))]
    assert [path for path in fields if not NODES[path].get("description")] == [], "kubectl explain reads like documentation"


def test_schema_is_structural() -> None:
    for path, node in NODES.items():
        assert not {"$ref", "oneOf", "allOf", "title"} & set(node), path
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_conditions_are_a_map_by_type() -> None:
    conditions = NODES[".status.conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


def test_drain_time_out_has_no_default_in_the_schema() -> None:
    assert "default" not in NODES[".spec.gateway.drainTimeoutSeconds"]
