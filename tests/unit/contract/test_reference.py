"""The page that describes the custom resources: generated, current, complete."""

from pathlib import Path
from typing import Any

from mistral_voice.contract.reference import main, reference

ROOT = Path(__file__).parents[3]
CRDS, PAGE = ROOT / "crds", ROOT / "docs" / "reference.md"


def crd(kind: str, scope: str, spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "description": f"A {kind.lower()}.", "properties": {"spec": {"type": "object", **spec}}}
    return {
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": {"kind": kind},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        }
    }


def test_the_page_is_what_the_definitions_say() -> None:
    assert main(["--crds", str(CRDS), "--page", str(PAGE), "--check"]) == 0, "run `make generate` and commit the result"


def test_drift_is_noticed_and_mended(tmp_path: Path) -> None:
    page = tmp_path / "reference.md"
    arguments = ["--crds", str(CRDS), "--page", str(page)]
    assert main([*arguments, "--check"]) == 1
    assert not page.exists()
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    page.write_text(page.read_text().replace("byok", "byo"))
    assert main([*arguments, "--check"]) == 1


def test_a_field_is_told_with_its_type_default_bounds_and_meaning() -> None:
    page = PAGE.read_text()
    assert "| `maxSessionDurationSeconds` | integer | `600` | 1 to 3600 | Maximum allowed" in page
    assert "| `turnDetection` | string | `server_vad` | `server_vad`, `push_to_talk` |" in page
    assert "| `mode` | string | *required* | `managed`, `byok` |" in page
    assert "| `allowedOrigins` | list of string |  | at most 32 items; each: at most 253 characters; `http://` or `https://`," in page


def test_rules_are_told_in_the_words_of_the_api_server() -> None:
    page = PAGE.read_text()
    assert "- byok needs secretRef: name the Secret that holds your Mistral API key\n" in page
    assert "- `mode`: mode can't be changed: delete the integration and create it again with the other mode\n" in page


def test_tenants_resources_come_before_administrators() -> None:
    page = reference([crd("Plan", "Cluster", {"properties": {}}), crd("Voice", "Namespaced", {"properties": {}})])
    assert page.index("## Voice") < page.index("## Plan")


def test_objects_with_the_same_fields_are_described_once() -> None:
    name = {"type": "object", "properties": {"name": {"type": "string", "description": "Its name."}}}
    page = reference([crd("Voice", "Namespaced", {"properties": {"one": name, "two": {"type": "array", "items": name}}})])
    assert page.count("Its name.") == 1
    assert "### spec.two[]\n\nThe same fields as `spec.one`." in page


def test_no_character_of_a_field_breaks_its_row() -> None:
    field = {"type": "string", "pattern": "^(a|b)$", "description": "Either | or."}
    page = reference([crd("Voice", "Namespaced", {"properties": {"x": field}})])
    assert r"| `x` | string |  | `^(a\|b)$` | Either \| or. |" in page
