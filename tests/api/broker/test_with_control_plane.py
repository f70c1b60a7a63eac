"""Gateway, broker and control plane together, each the real one; the ledger on SQLite."""

import contextlib

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from mistral_voice.broker.main import Broker
from tests.api.broker.place import Place
from tests.api.broker.test_session_life import ask, refusal
from tests.api.broker.whole import running_whole, whole_place
from tests.support.waiting import eventually


async def test_a_session_talks_and_the_limit_of_its_plan_refuses_the_next(place: Place) -> None:
    async with running_whole(place, limits={"concurrentSessions": 1}) as whole:
        tenant = await place.tenant()
        async with place.gateway(tenant) as gateway:
            async with gateway.connect() as client:
                assert await ask(client)
                error, code = await refusal(place, tenant)
                assert error["code"] == "managed_sessions_exhausted"
                assert code in (1008, 1013)
            await eventually(lambda: whole.count("holds") == 0, "the lease's release")
            async with gateway.connect() as client:
                assert await ask(client)


async def used_by(broker: Broker) -> dict[str, int]:
    """Return what the broker's metrics say that sessions which ended have used, by unit."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{broker.metrics_port}/metrics") as answer:
        text = await answer.text()
    found: dict[str, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "mistral_voice_broker_used_total":
                found[sample.labels["unit"]] = found.get(sample.labels["unit"], 0) + int(sample.value)
    return found


async def test_sessions_go_on_while_the_control_plane_is_killed_and_started_and_their_use_is_exact(place: Place) -> None:
    async with whole_place(place) as whole, whole.broker() as broker:
        tenant = await place.tenant()
        async with contextlib.AsyncExitStack() as processes, contextlib.AsyncExitStack() as session:
            control_plane = await processes.enter_async_context(whole.control_plane_process())
            # Renewed every three seconds; without a control plane it could go on for five minutes.
            await whole.put_plan(quantumSeconds=5, offlineGraceSeconds=300)
            await whole.key_state("mistral-main", "Active")
            gateway = await session.enter_async_context(place.gateway(tenant))
            client = await session.enter_async_context(gateway.connect())
            assert await ask(client)
            await eventually(lambda: whole.rows("select seq from usage where seq > 0"), "a report")
            control_plane.kill()
            await control_plane.wait()
            whole.service.backends = []
            assert await ask(client)
            ((before,),) = whole.rows("select max(seq) from usage")
            await processes.enter_async_context(whole.control_plane_process())
            await eventually(lambda: whole.rows("select 1 from usage where seq > ?", before), "a report after the restart")
            assert await ask(client)
            await session.aclose()
            await eventually(lambda: whole.rows("select 1 from usage where state = 'Released'"), "the last report")
            assert whole.count("usage") == whole.count("sessions") == 1
            assert whole.count("holds") == 0
            metered = await used_by(broker)
            assert metered["outputTokens"] > 0
            assert whole.amounts(tenant.namespace) == metered
            ((told_ms, estimated_ms),) = whole.rows("select session_ms, estimated_ms from usage")
            assert (whole.charged(tenant.namespace)[0], estimated_ms) == (told_ms, 0)
            balances = whole.rows("select session_ms, micro_units from balances where namespace = ?", tenant.namespace)
            assert set(balances) == {whole.charged(tenant.namespace)}
