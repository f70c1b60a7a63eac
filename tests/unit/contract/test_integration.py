"""The integration as data, held field by field against the copy of ContractSpec's source in tests/data/seed.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from mistral_voice.contract.integration import MISTRAL_CONVERSATIONAL, OwnershipMode, TurnDetection
from mistral_voice.contract.v1alpha1.spec import IntegrationConfig

SEED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "seed.json").read_text())
OURS = MISTRAL_CONVERSATIONAL


@pytest.mark.parametrize("field", ["key", "version", "category", "title", "description", "domain", "stability"])
def test_meta_data_is_the_seeds(field: str) -> None:
    assert getattr(OURS, field) == SEED["meta"][field]


def test_owners_and_tags_are_the_seeds() -> None:
    assert list(OURS.owners) == SEED["meta"]["owners"]
    assert list(OURS.tags) == SEED["meta"]["tags"]


def test_modes_and_capabilities_are_the_seeds() -> None:
    assert [mode.value for mode in OURS.supported_modes] == SEED["supportedModes"]
    assert [{"key": capability.key, "version": capability.version} for capability in OURS.provides] == SEED["capabilities"]["provides"]


def test_schemas_and_examples_are_the_seeds() -> None:
    assert OURS.config_schema == SEED["configSchema"]["schema"]
    assert OURS.config_example == SEED["configSchema"]["example"]
    assert OURS.secret_schema == SEED["secretSchema"]["schema"]
    assert OURS.secret_example == SEED["secretSchema"]["example"]


def test_health_check_is_the_seeds() -> None:
    assert {"method": OURS.health_check.method, "timeoutMs": OURS.health_check.timeout_ms} == SEED["healthCheck"]


def test_addresses_and_instructions_are_the_seeds() -> None:
    assert OURS.docs_url == SEED["docsUrl"]
    assert OURS.byok_setup_instructions == SEED["byokSetup"]["setupInstructions"]


def test_no_part_of_the_seed_is_left_out() -> None:
    assert set(SEED) == {"meta", "supportedModes", "capabilities", "configSchema", "secretSchema", "healthCheck", "docsUrl", "byokSetup"}
    assert set(SEED["meta"]) == {"key", "version", "category", "title", "description", "domain", "owners", "tags", "stability"}


def test_words_keep_their_case() -> None:
    assert [mode.value for mode in OwnershipMode] == ["managed", "byok"]
    assert [value.value for value in TurnDetection] == SEED["configSchema"]["schema"]["properties"]["turnDetection"]["enum"]


def test_resources_config_is_the_contracts_four_fields_and_no_more_with_its_example_as_defaults() -> None:
    schema = IntegrationConfig.model_json_schema(by_alias=True)
    assert set(schema["properties"]) == set(SEED["configSchema"]["schema"]["properties"])
    assert "required" not in schema
    assert IntegrationConfig().model_dump(mode="json", by_alias=True) == SEED["configSchema"]["example"]


def test_resources_descriptions_begin_with_the_contracts() -> None:
    properties = IntegrationConfig.model_json_schema(by_alias=True)["properties"]
    for name, described in SEED["configSchema"]["schema"]["properties"].items():
        assert properties[name]["description"].startswith(described["description"].rstrip("."))
