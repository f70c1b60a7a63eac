"""What people are told, over real sockets, of a real ledger."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from mistral_voice.contract.lease import Refusal
from mistral_voice.controlplane.api.focus import COLUMNS
from tests.support.ledger import World, a_report, a_request
from tests.support.peoples_api import Served, peoples_api

MANDATORY = {
    *(
        "BilledCost",
        "BillingAccountId",
        "BillingAccountName",
        "BillingCurrency",
        "BillingPeriodEnd",
        "BillingPeriodStart",
        "ChargeCategory",
    ),
    *("ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName"),
    *("ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
    *("HostProviderName", "ServiceProviderName"),
}
OWN = ("/namespaces/shop/usage", "/namespaces/shop/sessions", "/namespaces/shop/audit", "/namespaces/shop/entries")
PLATFORMS = ("/plans/standard/usage", "/plans/standard/tenants", "/plans/standard/integrations", "/plans/standard/sessions",
             "/plans/standard/audit", "/plans/standard/entries", "/pools/main")  # fmt: skip


class Person:
    def __init__(self, http: aiohttp.ClientSession, served: Served) -> None:
        self._http, self.served = http, served

    async def ask(self, path: str, who: str = "platform", **headers: str) -> tuple[int, Any]:
        token = {"Authorization": f"Bearer {who}"} if who else {}
        async with self._http.get(f"{self.served.base_url}/api/v1{path}", headers={**token, **headers}) as answer:
            if answer.content_type == "text/csv":
                return answer.status, await answer.text()
            assert answer.content_type == ("application/json" if answer.ok else "application/problem+json")
            body = await answer.json(content_type=None)
            assert answer.ok or body["status"] == answer.status
            return answer.status, body


@pytest.fixture
async def person(world: World) -> AsyncIterator[Person]:
    world.set_plan(limits={"concurrentSessions": 3, "sessionSecondsPerPeriod": 600, "spendPerPeriod": "2.00"})
    async with peoples_api(world) as served, aiohttp.ClientSession() as http:
        await served.keys.refresh()
        yield Person(http, served)


async def used(world: World) -> None:
    """A shop that has talked for ten seconds and goes on, and another tenant of the plan."""
    for session, namespace in (("s1", "shop"), ("s2", "shop"), ("s3", "bank")):
        await world.ledger.admit(a_request(session, namespace=namespace))
    world.now += 10
    await world.ledger.renew(a_report("s1", seconds=10, tokens=1000))
    await world.ledger.release(a_report("s2", seconds=5))


async def test_a_plans_use_and_what_is_left_of_each_namespaces_limits(person: Person, world: World) -> None:
    await used(world)
    _, plan = await person.ask("/plans/standard/usage")
    assert plan["total"]["used"] == {"sessionMs": 15_000, "microUnits": 2_000}
    assert plan["total"]["held"]["sessions"] == 2
    _, page = await person.ask("/plans/standard/tenants?limit=1")
    assert [item["namespace"] for item in page["items"]] == ["bank"]
    _, page = await person.ask(f"/plans/standard/tenants?limit=1&cursor={page['next']}")
    (shop,) = page["items"]
    assert (shop["namespace"], page["next"]) == ("shop", None)
    standing = shop["standing"]
    assert standing["left"]["sessions"] == 2
    assert standing["left"]["sessionMs"] == 600_000 - 15_000 - standing["held"]["sessionMs"]
    assert standing["left"]["microUnits"] == 2_000_000 - 2_000 - standing["held"]["microUnits"]


@pytest.mark.parametrize(
    ("sort", "names"),
    [("name", ["bank", "farm", "shop"]), ("microUnits", ["shop", "bank", "farm"]), ("sessions", ["farm", "bank", "shop"])],
)
async def test_namespaces_come_page_by_page_in_the_order_that_is_asked_for(
    person: Person, world: World, sort: str, names: list[str]
) -> None:
    await used(world)
    for session in ("f1", "f2"):
        await world.ledger.admit(a_request(session, namespace="farm"))
    seen: list[str] = []
    cursor = ""
    while len(seen) < 3:
        _, page = await person.ask(f"/plans/standard/tenants?sort={sort}&limit=1{cursor}")
        seen += [item["namespace"] for item in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert (seen, page["next"]) == (names, None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
async def test_namespaces_without_a_session_follow_those_that_have_some(person: Person, world: World, limit: int) -> None:
    await used(world)
    await world.ledger.admit(a_request("a1", namespace="shop-a"))
    for namespace in ("zoo", "arts"):
        await world.ledger.admit(a_request(namespace, namespace=namespace))
        await world.ledger.release(a_report(namespace, seconds=1))
    seen: list[str] = []
    cursor: Any = ""
    while cursor is not None:
        _, page = await person.ask(f"/plans/standard/tenants?sort=sessions&limit={limit}{cursor and f'&cursor={cursor}'}")
        assert all(item["standing"]["held"]["sessions"] == int(item["namespace"] not in ("zoo", "arts")) for item in page["items"])
        seen += [item["namespace"] for item in page["items"]]
        cursor = page["next"]
    assert seen == ["bank", "shop", "shop-a", "arts", "zoo"]
    _, page = await person.ask("/plans/standard/tenants?sort=sessions&containing=o")
    assert [item["namespace"] for item in page["items"]] == ["shop", "shop-a", "zoo"]


async def test_namespaces_are_found_by_a_part_of_their_name(person: Person, world: World) -> None:
    await used(world)
    _, page = await person.ask("/plans/standard/tenants?containing=an&sort=sessionMs")
    assert [item["namespace"] for item in page["items"]] == ["bank"]
    assert (await person.ask("/plans/standard/tenants?containing=a_k"))[0] == 400


async def test_a_cursor_of_another_order_is_refused(person: Person) -> None:
    for query in ("sort=microUnits&cursor=shop", "sort=name&cursor=20/shop", "cursor=20/shop"):
        status, problem = await person.ask(f"/plans/standard/tenants?{query}")
        assert status == 400
        assert "another order" in problem["detail"]


async def test_a_plan_tells_the_limits_of_each_and_how_many_tenants_there_are(person: Person, world: World) -> None:
    await used(world)
    _, plan = await person.ask("/plans/standard/usage")
    assert plan["tenants"] == 2
    assert plan["namespaceLimits"] == {"sessions": 3, "sessionMs": 600_000, "microUnits": 2_000_000}
    assert plan["integrationLimits"] == {"sessions": None, "sessionMs": None, "microUnits": None}


async def test_a_namespace_is_told_its_periods_also_one_that_nobody_has_put_aside(person: Person, world: World) -> None:
    async def told() -> list[tuple[str, int]]:
        _, space = await person.ask("/namespaces/shop/usage", "tenant")
        return [(period["period"], period["used"]["sessionMs"]) for period in space["plans"][0]["periods"]]

    await used(world)
    assert await told() == [("2026-11", 15_000)]
    world.now += 40 * 86_400
    assert await told() == [("2026-12", 0), ("2026-11", 15_000)]
    await world.ledger.admit(a_request("s9"))
    await world.ledger.release(a_report("s9", seconds=3))
    assert await told() == [("2026-12", 3_000), ("2026-11", 15_000)]


async def test_everybody_is_told_who_they_are_and_which_lists_they_may_have(person: Person) -> None:
    person.served.table.rights["system:serviceaccount:shop:app"] = set()
    told = {who: (await person.ask("/access", who))[1] for who in ("platform", "system:serviceaccount:shop:app")}
    assert told["platform"] == {"user": "platform", "namespace": None, "allPlans": True, "allPools": True}
    assert told["system:serviceaccount:shop:app"]["namespace"] == "shop"
    assert told["system:serviceaccount:shop:app"]["allPlans"] is False
    assert (await person.ask("/access", ""))[0] == 401


async def test_use_by_integration_page_by_page(person: Person, world: World) -> None:
    await used(world)
    _, first = await person.ask("/plans/standard/integrations?limit=1")
    _, rest = await person.ask(f"/plans/standard/integrations?cursor={first['next']}")
    listed = [(item["namespace"], item["integration"], item["sessions"]) for item in (*first["items"], *rest["items"])]
    assert listed == [("bank", "assistant", 1), ("shop", "assistant", 2)]


@pytest.mark.parametrize(
    ("changes", "exhausted", "word"),
    [
        ({"limits": {"sessionSecondsPerPeriod": 44}}, "SecondsExhausted", "a namespace"),
        ({"limits": {"sessionSecondsPerPeriod": 45}}, None, ""),
        ({"limits": {"spendPerPeriod": "0.03"}}, "SpendExhausted", "a namespace"),
        ({"perIntegration": {"sessionSecondsPerPeriod": 30}}, "SecondsExhausted", "an integration"),
        ({"total": {"sessionSecondsPerPeriod": 30}}, "SecondsExhausted", "all namespaces together"),
        ({"limits": {"concurrentSessions": 0}}, None, ""),
        ({"limits": {"sessionSecondsPerPeriod": 0}, "enforcement": "Shadow"}, None, ""),
    ],
)
async def test_an_integration_is_told_that_the_period_has_no_room_for_a_session(
    world: World, changes: dict[str, Any], exhausted: str | None, word: str
) -> None:
    world.set_plan()
    await used(world)
    await world.ledger.release(a_report("s1", seq=2, seconds=10, tokens=10_000))
    world.set_plan(**changes)
    async with peoples_api(world) as served, aiohttp.ClientSession() as http:
        _, page = await Person(http, served).ask("/plans/standard/integrations?cursor=bank/assistant")
        [shop] = page["items"]
        assert (shop["namespace"], shop["exhausted"]) == ("shop", exhausted)
        assert word in shop["message"]
        refusal = await world.ledger.admit(a_request("next"))
        assert exhausted is None or isinstance(refusal, Refusal)


async def test_a_session_whose_answer_was_lost_is_counted_once(person: Person, world: World) -> None:
    """The broker asks again; hearing nothing even then, it gives back what it may have been granted, and a new session is asked for."""

    async def sessions() -> int:
        _, page = await person.ask("/plans/standard/integrations")
        return int(page["items"][0]["sessions"])

    for _ in range(2):
        await world.ledger.admit(a_request("lost"))
    assert await sessions() == 1
    for _ in range(2):
        await world.ledger.release(a_report("lost", seq=1))
    assert await sessions() == 0
    await world.ledger.admit(a_request("again"))
    assert await sessions() == 1
    await world.ledger.release(a_report("again", seconds=1))
    await world.ledger.release(a_report("lost", seq=2, seconds=1))
    assert await sessions() == 2, "it was used after all"


async def test_a_period_that_is_over_counts_no_more(person: Person, world: World) -> None:
    await used(world)
    world.now += 40 * 86_400
    _, space = await person.ask("/namespaces/shop/usage", "tenant")
    (plan,) = space["plans"]
    assert plan["standing"]["used"] == {"sessionMs": 0, "microUnits": 0}
    assert plan["integrations"][0]["sessions"] == 0


async def test_a_tenant_sees_its_own_and_nothing_of_others(person: Person, world: World) -> None:
    await used(world)
    for path in OWN:
        status, body = await person.ask(path, "tenant")
        assert status == 200
        assert "bank" not in str(body)
    _, leases = await person.ask("/namespaces/shop/sessions", "tenant")
    assert [(lease["session"], lease["running"]) for lease in leases["items"]] == [("s1", True)]
    for path in (*PLATFORMS, "/namespaces/bank/usage", "/plans/unheard-of/usage"):
        status, problem = await person.ask(path, "tenant")
        assert (status, problem["title"]) == (403, "Forbidden")
    assert await person.ask("/plans", "tenant") == (200, {"items": [], "next": None})
    assert await person.ask("/pools", "tenant") == (200, {"items": [], "next": None})


async def test_nobody_is_told_anything_without_an_accepted_token(person: Person) -> None:
    for path in (*OWN, *PLATFORMS, "/plans", "/pools"):
        assert (await person.ask(path, ""))[0] == 401
        assert (await person.ask(path, "stolen"))[0] == 401
        assert (await person.ask(path, "", Host="localhost", Cookie="token=platform"))[0] == 401
    person.served.table.is_down = True
    assert (await person.ask("/plans"))[0] == 503


async def test_a_lists_reader_sees_what_rbac_names(person: Person, world: World) -> None:
    person.served.table.rights["one"] = {"get mistralvoiceplans/usage standard"}
    assert [plan["plan"] for plan in (await person.ask("/plans", "one"))[1]["items"]] == ["standard"]
    assert [pool["pool"] for pool in (await person.ask("/pools"))[1]["items"]] == ["main"]


async def test_keys_are_told_by_name_and_state_and_their_secrets_not_at_all(person: Person) -> None:
    _, pool = await person.ask("/pools/main")
    assert [(key["name"], key["state"]) for key in pool["keys"]] == [("first", "Probing")]
    assert "secret-mistral" not in str(pool)


async def test_entries_and_audit_come_the_latest_first_and_are_filtered(person: Person, world: World) -> None:
    await used(world)
    _, page = await person.ask("/plans/standard/entries?namespace=shop&kind=Usage&limit=1")
    _, rest = await person.ask(f"/plans/standard/entries?namespace=shop&kind=Usage&cursor={page['next']}")
    ids = [item["id"] for item in (*page["items"], *rest["items"])]
    assert ids == sorted(ids, reverse=True)
    assert {item["namespace"] for item in rest["items"]} == {"shop"}
    assert sum(item["microUnits"] for item in (*page["items"], *rest["items"])) == 2_000
    _, audit = await person.ask("/namespaces/shop/audit?event=SessionAdmitted", "tenant")
    assert [item["session"] for item in audit["items"]] == ["s2", "s1"]


async def test_cost_leaves_in_focus_format(person: Person, world: World) -> None:
    await used(world)
    status, text = await person.ask("/namespaces/shop/costs?from=2026-11-01&to=2026-12-01", "tenant")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert status == 200
    assert MANDATORY <= set(rows[0]) == set(COLUMNS)
    (row,) = rows
    assert (row["BilledCost"], row["BillingCurrency"], row["ConsumedQuantity"]) == ("0.002000", "EUR", "1000")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert row["SubAccountId"] == "shop"


@pytest.mark.parametrize(
    "query",
    ["?limit=0", "?limit=501", "?limit=1e2", "?limit=1&limit=1", "?cursor=x'--", "?cursor=99999999999999999999", "?kind=Any", "?unknown=1",
     "?namespace=UPPER", "?namespace=a%0a", "?integration=%00", "?namespace=" + "a" * 64],
)  # fmt: skip
async def test_what_is_out_of_bounds_is_refused_in_a_sentence(person: Person, query: str) -> None:
    status, problem = await person.ask(f"/plans/standard/entries{query}")
    assert status == 400
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize("days", ["", "?from=2026-11-01", "?from=2026-02-30&to=2026-03-01", "?from=2026-11-02&to=2026-11-01",
                                  "?from=2026-01-01&to=2026-11-01"])  # fmt: skip
async def test_an_export_needs_a_range_of_days(person: Person, days: str) -> None:
    assert (await person.ask(f"/plans/standard/costs{days}"))[0] == 400


async def test_there_is_nothing_beyond_what_is_described(person: Person) -> None:
    assert (await person.ask("/"))[0] == 404
    assert (await person.ask("/plans/standard"))[0] == 404
    _, described = await person.ask("/openapi.json", "")
    assert described["openapi"] == "3.1.0"
    for path in (*OWN, *PLATFORMS):
        name = path.replace("/standard/", "/{plan}/").replace("/shop/", "/{namespace}/").replace("/main", "/{pool}")
        assert f"/api/v1{name}" in described["paths"]
