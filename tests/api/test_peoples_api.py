"""Who may see what of managed mode: real tokens, reviewed by a real API server, and rights that RBAC gives and nothing else."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mistral_voice.kube.client import Client
from tests.cluster import ApiServer
from tests.support.office import Office, an_office
from tests.support.waiting import eventually

PATHS = ("/access", "/plans/gold/usage", "/plans/iron/tenants", "/plans/iron/costs?from=2026-11-01&to=2026-11-02", "/pools/main",
         "/namespaces/{own}/usage", "/namespaces/{own}/entries", "/namespaces/{other}/usage")  # fmt: skip
TABLE = {
    "all-plans": (200, 200, 200, 200, 403, 403, 403, 403),
    "one-plan": (200, 200, 403, 403, 403, 403, 403, 403),
    "pools": (200, 403, 403, 403, 200, 403, 403, 403),
    "plans-alone": (200, 403, 403, 403, 403, 403, 403, 403),
    "tenant": (200, 403, 403, 403, 403, 200, 200, 403),
    "nothing": (200, 403, 403, 403, 403, 403, 403, 403),
}


@pytest.fixture
async def office(cluster: ApiServer, client: Client, tmp_path: Path) -> AsyncIterator[Office]:
    async with an_office(cluster, client, tmp_path) as office:
        await office.start()
        yield office


async def test_rbac_and_nothing_else_decides_who_sees_what(office: Office) -> None:
    seen = {}
    for role in TABLE:
        token = await office.token(role)
        seen[role] = tuple([(await office.ask(path, token))[0] for path in PATHS])
    assert seen == TABLE
    _, listed = await office.ask("/plans", await office.token("one-plan"))
    assert [plan["plan"] for plan in json.loads(listed)["items"]] == ["gold"]


async def test_a_token_for_the_api_server_or_another_audience_is_not_accepted(office: Office) -> None:
    good = await office.token("all-plans")
    for token in (
        await office.token("all-plans", None),
        await office.token("all-plans", "mistral-voice-broker"),
        good + "x",
        "nonsense",
        "",
    ):
        assert (await office.ask("/plans/gold/usage", token))[0] == 401
    assert (await office.ask("/plans/gold/usage", good))[0] == 200


async def test_a_right_that_is_taken_away_is_gone_within_seconds(office: Office, cluster: ApiServer) -> None:
    token = await office.token("one-plan")
    assert (await office.ask("/plans/gold/usage", token))[0] == 200
    cluster.kubectl("delete", "clusterrolebinding", f"{office.own}-one-plan")

    async def refused() -> bool:
        return (await office.ask("/plans/gold/usage", token))[0] == 403

    await eventually(refused, "the right's end")
