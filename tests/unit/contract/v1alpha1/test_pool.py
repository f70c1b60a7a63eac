"""A pool of keys: references only, a closed list of regions."""

from typing import Any

import pytest

from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, Region, parse_pool
from tests.unit.contract.v1alpha1.plans import pool_spec


def pool(**changes: Any) -> KeyPoolSpecification:
    found = parse_pool(pool_spec(**changes))
    assert isinstance(found, KeyPoolSpecification), found
    return found


def faults(**changes: Any) -> list[tuple[str, str]]:
    found = parse_pool(pool_spec(**changes))
    assert isinstance(found, list), "it was accepted"
    return [(fault.path, fault.message) for fault in found]


def key(name: str, secret: str, **further: Any) -> dict[str, Any]:
    return {"name": name, "secretRef": {"name": secret}, **further}


def test_a_name_and_a_secret_make_a_key() -> None:
    [only] = pool(keys=[key("a", "mistral-a")]).keys
    assert (only.secret_ref.key, only.weight, only.rate_limit_domain, only.retire) == ("apiKey", 1, "default", False)


def test_keys_of_a_pool_share_mistrals_rate_limits_unless_it_is_said_otherwise() -> None:
    assert [entry.rate_limit_domain for entry in pool().keys] == ["default", "workspace-b"]


def test_a_pool_may_be_emptied() -> None:
    assert pool(keys=[]).keys == ()


def test_regions_lead_to_mistrals_own_hosts() -> None:
    assert {region: region.host for region in Region} == {
        "Global": "api.mistral.ai",
        "EU": "api.eu.mistral.ai",
        "US": "api.us.mistral.ai",
    }
    assert pool().region is Region.GLOBAL


@pytest.mark.parametrize("region", ["https://evil.example", "evil.example", "eu", ""])
def test_no_region_can_name_an_address(region: str) -> None:
    assert [path for path, _ in faults(region=region)] == ["spec.region"]


def test_no_reference_names_a_namespace() -> None:
    [(path, _)] = faults(keys=[{"name": "a", "secretRef": {"name": "s", "namespace": "kube-system"}}])
    assert path == "spec.keys.0.secretRef.namespace"


def test_each_key_lies_in_a_secret_of_its_own() -> None:
    [(_, sentence)] = faults(keys=[key("a", "same"), key("b", "same")])
    assert "a Secret of its own" in sentence


def test_names_of_keys_differ() -> None:
    [(_, sentence)] = faults(keys=[key("a", "one"), key("a", "two")])
    assert "two keys of the same name" in sentence
