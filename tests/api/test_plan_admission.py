"""Which plans and pools `kubectl apply` refuses, and with which sentence. What the API server takes, the models take as well."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.plan import PlanSpecification, parse_plan
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, parse_pool
from tests.cluster import ApiServer
from tests.support.crds import install_crds
from tests.unit.contract.v1alpha1.plans import PRICES, plan_spec, pool_spec

Apply = Callable[..., tuple[bool, str]]


@pytest.fixture(scope="module", autouse=True)
def _crds(cluster: ApiServer) -> None:
    install_crds(cluster)


@pytest.fixture
def name() -> str:
    return f"n-{secrets.token_hex(5)}"


@pytest.fixture
def apply(cluster: ApiServer, name: str) -> Apply:
    def applied(kind: str, spec: dict[str, Any]) -> tuple[bool, str]:
        body = {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
        done = cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body), check=False)
        return done.returncode == 0, done.stdout + done.stderr

    return applied


def stored(cluster: ApiServer, short_name: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", short_name, name, "-o", "json").stdout)["spec"]
    return found


def test_what_the_server_stores_of_a_plan_is_what_the_model_reads(cluster: ApiServer, apply: Apply, name: str) -> None:
    accepted, text = apply(names.PLAN_KIND, plan_spec())
    assert accepted, text
    spec = stored(cluster, "mvplan", name)
    assert spec["models"]["speech"] == ["voxtral-mini-tts-latest"]
    assert (spec["period"], spec["stopPolicy"], spec["enforcement"]) == ("Month", "None", "Enforce")
    parsed = parse_plan(spec)
    assert isinstance(parsed, PlanSpecification)
    assert parsed == parse_plan(plan_spec())


def test_what_the_server_stores_of_a_pool_is_what_the_model_reads(cluster: ApiServer, apply: Apply, name: str) -> None:
    accepted, text = apply(names.POOL_KIND, pool_spec())
    assert accepted, text
    parsed = parse_pool(stored(cluster, "mvpool", name))
    assert isinstance(parsed, KeyPoolSpecification)
    assert parsed == parse_pool(pool_spec())


def book(*prices: dict[str, Any], currency: str = "EUR") -> dict[str, Any]:
    return {"priceBook": {"currency": currency, "prices": [*prices]}}


def expression(operator: str, *values: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchExpressions": [{"key": "tier", "operator": operator, "values": [*values]}]}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"namespaceSelector": {}}, "an empty namespaceSelector would match every namespace: name them by kubernetes.io/metadata.name"),
        ({"namespaceSelector": {"matchLabels": {}}}, "an empty namespaceSelector would match every namespace"),
        (expression("In"), "In and NotIn need values; Exists and DoesNotExist take none"),
        (expression("Exists", "gold"), "In and NotIn need values; Exists and DoesNotExist take none"),
        (expression("Like", "gold"), 'Unsupported value: "Like"'),
        ({"limits": {}}, "limits without a figure limit nothing: set concurrentSessions, sessionSecondsPerPeriod or spendPerPeriod"),
        ({"total": {}}, "limits without a figure limit nothing"),
        ({"perIntegration": {}}, "limits without a figure limit nothing"),
        ({"limits": {"concurrentSessions": -1}}, "should be greater than or equal to 0"),
        ({"limits": {"spendPerPeriod": 250}}, "must be of type string"),
        ({"limits": {"spendPerPeriod": "1e9"}}, "spec.limits.spendPerPeriod in body should match"),
        ({"models": {"chat": []}}, "should have at least 1 items"),
        ({"models": {"chat": [" "]}}, "must be the name of a Mistral model"),
        ({"voices": ["default"]}, "must be the id of a voice: default stands for the operator's own, so name that voice's id"),
        (book(*PRICES, PRICES[0] | {"price": "9"}), "Duplicate value"),
        (book(PRICES[0] | {"from": "tomorrow"}), "spec.priceBook.prices[0].from in body should match"),
        (book(PRICES[0] | {"from": "2026-11-31"}), "must be a day that the calendar has, such as 2026-11-01"),
        (book(PRICES[0] | {"from": "2027-02-29"}), "must be a day that the calendar has"),
        (book(PRICES[0] | {"from": "2100-02-29"}), "must be a day that the calendar has"),
        (book(PRICES[0] | {"from": ["2026-11-01"]}), "must be of type string"),
        (book(PRICES[0] | {"unit": "minutes"}), 'Unsupported value: "minutes"'),
        (book(PRICES[0] | {"quantity": 0}), "should be greater than or equal to 1"),
        (book(*PRICES, currency="euro"), "spec.priceBook.currency"),
        (book(), "should have at least 1 items"),
        ({"stopPolicy": "Stop"}, 'supported values: "None", "Hold", "HoldAndDrain"'),
        ({"enforcement": "Off"}, 'supported values: "Enforce", "Shadow"'),
        ({"period": "Week"}, 'supported values: "Month", "Day"'),
        ({"quantumSeconds": 1}, "should be greater than or equal to 5"),
        ({"offlineGraceSeconds": 601}, "should be less than or equal to 600"),
        ({"poolRef": None}, "spec.poolRef: Required value"),
        ({"priceBook": None}, "spec.priceBook: Required value"),
        ({"namespaceSelector": None}, "spec.namespaceSelector: Required value"),
    ],
)
def test_a_plan_is_refused_with_a_sentence(apply: Apply, changes: dict[str, Any], sentence: str) -> None:
    accepted, text = apply(names.PLAN_KIND, plan_spec(**changes))
    assert not accepted
    assert sentence in text
    assert isinstance(parse_plan(plan_spec(**changes)), list), "the model must refuse it as well"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"period": "Day"}, "period can't be changed, since use is counted by it: create another plan"),
        (book(*PRICES, currency="USD"), "currency can't be changed, since what was spent is counted in it: create another plan"),
    ],
)
def test_what_use_is_counted_in_cannot_be_changed(apply: Apply, change: dict[str, Any], sentence: str) -> None:
    assert apply(names.PLAN_KIND, plan_spec())[0]
    accepted, text = apply(names.PLAN_KIND, plan_spec(**change))
    assert not accepted
    assert sentence in text


def test_limits_prices_and_consent_can_be_changed(apply: Apply) -> None:
    assert apply(names.PLAN_KIND, plan_spec())[0]
    everywhere = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}
    dearer = book(*PRICES, PRICES[0] | {"from": "2028-02-29", "price": "0.5"}, PRICES[0] | {"from": "2400-02-29"})
    accepted, text = apply(names.PLAN_KIND, plan_spec(namespaceSelector=everywhere, limits={"concurrentSessions": 0}, **dearer))
    assert accepted, text


def key(name: str, secret: str, **further: Any) -> dict[str, Any]:
    return {"name": name, "secretRef": {"name": secret}, **further}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keys": [key("a", "same"), key("b", "same")]}, "each key must lie in a Secret of its own, so that one can be changed"),
        ({"keys": [key("a", "one"), key("a", "two")]}, "Duplicate value"),
        ({"keys": [key("a", "one", weight=-1)]}, "should be greater than or equal to 0"),
        ({"keys": [key("A", "one")]}, "spec.keys[0].name in body should match"),
        ({"region": "https://evil.example"}, 'supported values: "Global", "EU", "US"'),
        (
            {"keys": [{"name": "a", "secretRef": {"name": "s", "namespace": "kube-system"}}]},
            'unknown field "spec.keys[0].secretRef.namespace"',
        ),
        ({"url": "https://evil.example"}, 'unknown field "spec.url"'),
    ],
)
def test_a_pool_is_refused_with_a_sentence(apply: Apply, changes: dict[str, Any], sentence: str) -> None:
    accepted, text = apply(names.POOL_KIND, pool_spec(**changes))
    assert not accepted
    assert sentence in text
    assert isinstance(parse_pool(pool_spec(**changes)), list), "the model must refuse it as well"


def test_the_largest_pool_and_plan_are_accepted(apply: Apply) -> None:
    accepted, text = apply(names.POOL_KIND, pool_spec(keys=[key(f"k{number}", f"secret-{number}") for number in range(64)]))
    assert accepted, text
    prices = [PRICES[0] | {"from": f"2026-{month:02}-{day:02}"} for month in range(1, 11) for day in range(1, 26)]
    accepted, text = apply(names.PLAN_KIND, plan_spec(**book(*prices)))
    assert accepted, text


def test_explain_reads_like_documentation(cluster: ApiServer) -> None:
    assert "its owner's consent" in cluster.kubectl("explain", "mvplan.spec").stdout
    assert "api.eu.mistral.ai" in cluster.kubectl("explain", "mvpool.spec.region").stdout


def test_plans_are_found_by_their_pool(cluster: ApiServer, apply: Apply, name: str) -> None:
    assert apply(names.PLAN_KIND, plan_spec(poolRef={"name": name}))[0]
    found = cluster.kubectl("get", "mvplan", "--field-selector", f"spec.poolRef.name={name}", "-o", "name").stdout
    assert found.strip() == f"mistralvoiceplan.{names.GROUP}/{name}"
