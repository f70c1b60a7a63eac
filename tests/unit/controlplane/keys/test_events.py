"""What happens to keys, kept for the audit: from brokers' reports to rows, the API and the log."""

import asyncio
import logging

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from mistral_voice.contract.lease import KeyOutcome, KeyReport, KeySync
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.retention import Retention
from mistral_voice.controlplane.upkeep import Upkeep
from tests.support.ledger import World
from tests.support.peoples_api import peoples_api

SECRET = "secret-mistral-1"


class Unlisted:
    """An API server that has not answered yet."""

    def not_ready_because(self) -> str | None:
        return "Plans and pools were not listed yet."


def a_pool(*, retire: bool = False) -> KeyPoolSpecification:
    return KeyPoolSpecification.model_validate({"keys": [{"name": "first", "secretRef": {"name": SECRET}, "retire": retire}]})


def seen(outcome: KeyOutcome, generation: str = "g1", *, was_probe: bool = True) -> KeySync:
    return KeySync("broker-1", (KeyReport("main", SECRET, generation, outcome, was_probe),))


async def test_the_life_of_a_key_is_told_in_rows_logs_and_the_api_without_its_secrets_name(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pools = {"main": a_pool()}
    ring = KeyRing(world.database, lambda: pools)
    await ring.refresh()
    await ring.sync(seen(KeyOutcome.ACCEPTED))
    await ring.sync(seen(KeyOutcome.REFUSED, was_probe=False))
    await ring.sync(seen(KeyOutcome.REFUSED))
    await ring.sync(seen(KeyOutcome.ACCEPTED, "g2"))
    await ring.sync(seen(KeyOutcome.RATE_LIMITED, "g2", was_probe=False))
    world.now += 60
    await ring.refresh()
    pools["main"] = a_pool(retire=True)
    await ring.refresh()
    pools.clear()
    await ring.refresh()
    await ring.refresh()
    rows = await world.rows(schema.audit)
    assert {row["pool"] for row in rows} == {"main"}
    assert [(row["event"], row["reason"]) for row in rows] == [
        ("KeyAdded", ""),
        ("KeyActive", ""),
        ("KeyQuarantined", "auth"),
        ("KeyRotated", ""),
        ("KeyActive", ""),
        ("KeyQuarantined", "rate"),
        ("KeyActive", ""),
        ("KeyRetired", ""),
        ("KeyRemoved", ""),
    ]
    logged = [record for record in caplog.records if getattr(record, "event", "").startswith("Key")]
    assert [(record.__dict__["event"], record.__dict__["pool"]) for record in logged] == [(row["event"], "main") for row in rows]
    async with peoples_api(world) as served, aiohttp.ClientSession() as http:
        asked = f"{served.base_url}/api/v1/pools/main/audit"
        async with http.get(asked, params={"event": "KeyQuarantined"}, headers={"Authorization": "Bearer platform"}) as answer:
            body = await answer.read()
        found = msgspec.json.decode(body)
        assert [(item["pool"], item["reason"]) for item in found["items"]] == [("main", "rate"), ("main", "auth")]
        assert SECRET.encode() not in body
        async with http.get(asked, headers={"Authorization": "Bearer tenant"}) as answer:
            assert answer.status == 403
    assert SECRET not in "".join(record.getMessage() for record in caplog.records) + "".join(row["message"] for row in rows)


async def test_a_replica_that_starts_touches_no_key_and_no_plan_before_it_has_listed_them(world: World) -> None:
    pools = {"main": a_pool()}
    await KeyRing(world.database, lambda: pools).sync(seen(KeyOutcome.ACCEPTED))
    known = await world.rows(schema.pool_keys)
    changed = asyncio.Event()
    catalogue, metrics = Catalogue(), ControlPlaneMetrics(CollectorRegistry())
    starting = KeyRing(world.database, lambda: catalogue.pools)
    upkeep = Upkeep(world.database, world.ledger, starting, catalogue, metrics, lambda: 0.0, Retention(), Unlisted(), changed)
    changed.set()
    await upkeep.once()
    assert await world.rows(schema.pool_keys) == known
    assert changed.is_set()
