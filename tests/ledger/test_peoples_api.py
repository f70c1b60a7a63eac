"""The API's questions on a real PostgreSQL."""

import csv
import io
import json
from collections.abc import Callable

import aiohttp

from tests.support.ledger import a_report, a_request, ledger_at
from tests.support.peoples_api import peoples_api

PAGES = ("plans/standard/tenants", "plans/standard/integrations", "plans/standard/sessions", "plans/standard/audit",
         "plans/standard/entries", "namespaces/shop/sessions", "namespaces/shop/audit", "namespaces/shop/entries")  # fmt: skip


async def test_postgresql_answers_what_sqlite_answers(fresh: Callable[[], str]) -> None:
    headers = {"Authorization": "Bearer platform"}
    async with ledger_at(fresh()) as world, peoples_api(world) as served, aiohttp.ClientSession(headers=headers) as http:

        async def ask(path: str) -> str:
            async with http.get(f"{served.base_url}/api/v1/{path}") as answer:
                assert answer.ok, await answer.text()
                return await answer.text()

        for session, namespace in (("s1", "shop"), ("s2", "shop"), ("s3", "bank")):
            await world.ledger.admit(a_request(session, namespace=namespace))
            await world.ledger.renew(a_report(session, seconds=1, tokens=1000))
        for path in PAGES:
            first = json.loads(await ask(f"{path}?limit=1"))
            assert len(first["items"]) == 1
            if first["next"] is not None:
                rest = json.loads(await ask(f"{path}?cursor={first['next']}"))
                assert rest["items"]
                assert first["items"][0] not in rest["items"]
        assert '"sessionMs":3000' in await ask("plans/standard/usage")
        assert '"sessions":2,' in await ask("namespaces/shop/usage")
        rows = list(csv.DictReader(io.StringIO(await ask("plans/standard/costs?from=2026-11-01&to=2026-12-01"))))
        assert [(row["SubAccountId"], row["BilledCost"]) for row in rows] == [("bank", "0.002000"), ("shop", "0.004000")]
