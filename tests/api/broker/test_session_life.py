"""A managed session's life: refused with a sentence, ended in an orderly way, and alive though its broker is not."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from msgspec import structs

from mistral_voice.broker.directory import INTEGRATIONS
from mistral_voice.broker.main import Broker
from mistral_voice.contract.lease import Ends, Moving, Refusal, RefusalReason
from mistral_voice.runtime.clock import Clock
from tests.api.broker.line import hand
from tests.api.broker.place import CANARY, Place, Tenant
from tests.support.gateway import RealtimeClient
from tests.support.waiting import WAIT_SECONDS, eventually

QUESTION = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the capital of France?"}]}


@pytest.fixture
async def broker(place: Place) -> AsyncIterator[Broker]:
    async with place.broker() as broker:
        yield broker


async def ask(client: RealtimeClient) -> str:
    """Ask in writing; returns what was said in reply."""
    await client.send("conversation.item.create", item=QUESTION)
    await client.send("response.create")
    done = (await client.until("response.done"))["response"]
    assert done["status"] == "completed", done
    said: str = done["output"][0]["content"][0]["transcript"]
    return said


async def refusal(place: Place, tenant: Tenant | None = None, **changes: object) -> tuple[dict[str, str], int | None]:
    """Connect a client to a gateway whose session is refused; returns the error event and the close code."""
    async with (
        place.gateway(tenant or await place.tenant(), **changes) as gateway,
        aiohttp.ClientSession() as http,
        http.ws_connect(gateway.websocket_url, headers={"Authorization": f"Bearer {gateway.token}"}) as socket,
    ):
        event = await socket.receive_json(timeout=WAIT_SECONDS)
        assert event["type"] == "error"
        await socket.receive(timeout=WAIT_SECONDS)
        return event["error"], socket.close_code


async def test_a_session_that_the_plan_refuses_hears_why(place: Place, broker: Broker) -> None:
    message = "The plan's spend for this month is used up; it begins anew on 1 December."
    place.control_plane.refusal = Refusal(RefusalReason.SPEND_EXHAUSTED, message, 600)
    error, code = await refusal(place)
    assert error["code"] == "managed_spend_exhausted"
    assert error["message"].startswith(message)
    assert code == 1013


async def test_a_model_that_the_plan_lacks_is_refused_for_good(place: Place, broker: Broker) -> None:
    error, code = await refusal(place, model="mistral-large-4")
    assert error["code"] == "managed_model_not_in_plan"
    assert code == 1008


async def test_without_a_control_plane_no_session_begins_and_those_that_run_go_on(place: Place, broker: Broker) -> None:
    place.control_plane.renew_after_seconds = 1
    async with place.gateway(await place.tenant()) as gateway, gateway.connect() as client:
        place.control_plane.is_down = True
        error, code = await refusal(place)
        assert (error["code"], code) == ("managed_ledger_unavailable", 1013)
        assert await ask(client)


async def test_a_session_ends_in_time_when_the_control_plane_stays_away(place: Place, broker: Broker) -> None:
    place.control_plane.renew_after_seconds = place.control_plane.quantum_seconds = 1
    place.control_plane.offline_grace_seconds = 2
    async with place.gateway(await place.tenant()) as gateway, gateway.connect() as client:
        place.control_plane.is_down = True
        assert (await client.until("error"))["error"]["code"] == "session_expired"
        assert await client.until_closed() == 1000


async def test_a_refused_renewal_is_announced_and_the_session_ends_after_its_turn(place: Place, broker: Broker) -> None:
    place.control_plane.renew_after_seconds = 1
    place.control_plane.quantum_seconds = 8
    async with place.gateway(await place.tenant()) as gateway, gateway.connect() as client:
        announced = client.session["expires_at"]
        assert await ask(client)
        place.control_plane.renewal_refusal = Refusal(RefusalReason.SECONDS_EXHAUSTED, "The namespace's seconds are used up.")
        earlier = (await client.until("session.updated"))["session"]["expires_at"]
        assert earlier < announced
        assert earlier <= time.time() + 9
        error = (await client.until("error"))["error"]
        assert (error["code"], error["message"]) == ("session_expired", "The namespace's seconds are used up.")
        assert await client.until_closed() == 1000
    await eventually(lambda: place.control_plane.releases, "the release")


@pytest.mark.parametrize("change", ["suspend", "consent", "plan deleted"])
async def test_whoever_loses_the_right_loses_the_session_at_the_next_renewal(place: Place, broker: Broker, change: str) -> None:
    place.control_plane.renew_after_seconds = 1
    tenant = await place.tenant()
    async with hand(place.url, place.ca_file) as reach, reach.line(await place.token(tenant)) as line:
        assert line.opened
        if change == "suspend":
            await place.put_integration(tenant.namespace, suspend=True)
        elif change == "consent":
            await place.put_plan(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "another"}})
        else:
            await place.delete_plan()
        ends = await line.next()
        assert isinstance(ends, Ends)
        expected = {"suspend": "Suspended", "consent": "PlanNotAllowed", "plan deleted": "PlanNotFound"}
        assert ends.reason.value == expected[change]
        assert ends.within_seconds <= 31


async def test_a_session_survives_its_broker(place: Place) -> None:
    """Killed in mid-session, in the middle of a reply too: the next turn goes through another broker under the next epoch."""
    tenant = await place.tenant()
    async with place.broker_process("broker-0") as first, place.gateway(tenant) as gateway, gateway.connect() as client:
        assert await ask(client)
        async with place.broker("broker-1"):
            place.service.backends.remove(first.port)
            await client.send("conversation.item.create", item=QUESTION)
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            first.kill()
            await client.until("response.done")
            assert await ask(client)
            leases = place.control_plane.leases
            assert [(lease.epoch, lease.broker.partition("/")[0]) for lease in leases] == [(1, "broker-0"), (2, "broker-1")]
            assert len({lease.session for lease in leases}) == 1


async def test_a_session_finds_another_broker_though_its_first_attempts_fail(place: Place) -> None:
    """An attempt whose lease was granted, and then came to nothing, stands in the way of no later one: each has an epoch of its own."""
    tenant = await place.tenant()
    async with place.broker_process("broker-0") as first, place.gateway(tenant) as gateway, gateway.connect() as client:
        assert await ask(client)
        good = place.control_plane.key
        place.control_plane.key = structs.replace(good, secret="missing")
        async with place.broker("broker-1"):
            place.service.backends.remove(first.port)
            first.kill()
            await eventually(lambda: place.control_plane.releases, "an attempt that failed, and was given back")
            place.control_plane.key = good
            assert await ask(client)
            epochs = [lease.epoch for lease in place.control_plane.leases]
            assert epochs == sorted(set(epochs)), "an attempt that asked for no lease may leave a gap, none comes twice"
            assert len(epochs) > 2


async def test_a_session_of_an_integration_that_is_made_anew_ends(place: Place, broker: Broker) -> None:
    place.control_plane.renew_after_seconds = 1
    tenant = await place.tenant()
    async with hand(place.url, place.ca_file) as reach, reach.line(await place.token(tenant)) as line:
        assert line.opened
        await place.client.delete(INTEGRATIONS, tenant.namespace, "hello")
        await place.put_integration(tenant.namespace)
        ends = await line.next()
        assert isinstance(ends, Ends)
        assert ends.reason in (RefusalReason.LEASE_EXPIRED, RefusalReason.NOT_MANAGED), "whether or not it was seen to be gone"


async def test_a_broker_that_drains_lets_its_sessions_move_between_two_turns(place: Place) -> None:
    async with place.broker("broker-0") as first, place.broker("broker-1") as second, place.gateway(await place.tenant()) as gateway:
        place.service.backends = [first.port]
        async with gateway.connect() as client:
            assert await ask(client)
            place.service.backends = [second.port]
            await first.drain(0.0, 20.0)
            assert len(first.sessions) == 0
            assert len(second.sessions) == 1
            assert await ask(client)
            assert [lease.epoch for lease in place.control_plane.leases] == [1, 2]


async def test_a_drain_tells_by_when_to_move(place: Place, broker: Broker) -> None:
    async with hand(place.url, place.ca_file) as reach, reach.line(await place.token(await place.tenant())) as line:
        assert line.opened
        draining = asyncio.create_task(broker.drain(0.0, 1.0))
        moving = await line.next()
        assert isinstance(moving, Moving)
        assert 0 < moving.within_seconds < 60
        await draining
        assert "draining" in (broker.gateway_port.not_ready_because() or "")


async def test_a_probe_is_made_when_it_is_ordered(place: Place, broker: Broker) -> None:
    place.control_plane.probe = (place.control_plane.key,)
    report = await eventually(lambda: next((report for report in place.control_plane.reports if report.was_probe), None), "the probe")
    assert report is not None
    assert report.outcome.value == "Accepted"
    assert report.generation


async def test_a_pool_secret_that_is_missing_refuses_and_is_told(place: Place, broker: Broker) -> None:
    place.control_plane.key = structs.replace(place.control_plane.key, secret="missing")
    error, code = await refusal(place)
    assert (error["code"], code) == ("managed_pool_exhausted", 1013)
    assert "missing" not in error["message"]
    outcome = await eventually(lambda: [report.outcome.value for report in place.control_plane.reports], "the report")
    assert outcome == ["SecretUnusable"]
    await eventually(lambda: place.control_plane.releases, "the release")


async def test_what_a_session_uses_is_told_at_each_renewal_and_only_grows(place: Place, broker: Broker) -> None:
    place.control_plane.renew_after_seconds = 1
    async with place.gateway(await place.tenant()) as gateway, gateway.connect() as client:
        for _ in range(2):
            told = len(place.control_plane.renewals)
            assert await ask(client)
            await eventually(lambda told=told: len(place.control_plane.renewals) > told + 1, "a renewal")  # type: ignore[misc]
    await eventually(lambda: place.control_plane.releases, "the release")
    reports = [*place.control_plane.renewals, *place.control_plane.releases]
    told_as = [report.seq for report in reports]
    assert told_as == sorted(set(told_as)), "a report that the session's end overtook may be missing, none comes twice or late"
    totals = [sum(amount.amount for amount in report.usage.amounts) for report in reports]
    assert totals == sorted(totals)
    assert totals[0] < totals[-1]


async def test_a_call_that_outlives_the_session_is_cut_and_counted(place: Place, broker: Broker) -> None:
    place.control_plane.renew_after_seconds = 1
    place.control_plane.quantum_seconds = 3
    await place.mistral.put_script({"chat": {"replies": [{"text": "word " * 5000, "token_ms": 20}]}})
    pieces = 20
    async with hand(place.url, place.ca_file) as reach, reach.line(await place.token(await place.tenant())) as line:
        url = f"https://{line.opened.address}"
        async with reach.chatting(line.opened.ticket, url=url) as answer:
            for _ in range(pieces):
                assert await answer.content.readuntil(b"\n\n")
            place.control_plane.renewal_refusal = Refusal(RefusalReason.SPEND_EXHAUSTED, "The spend is used up.")
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        assert (await reach.chat(line.opened.ticket, url=url))[0] == 401
    released = (await eventually(lambda: place.control_plane.releases, "the release"))[0]
    assert sum(amount.amount for amount in released.usage.amounts) > pieces


async def test_a_session_whose_key_dies_goes_on_with_another(place: Place, broker: Broker) -> None:
    await place.mistral.add_key("spare", "spare-pool-key-00001")
    await place.put_key("spare-pool-key-00001", "mistral-spare")
    async with place.gateway(await place.tenant()) as gateway, gateway.connect() as client:
        assert await ask(client)
        place.control_plane.key = structs.replace(place.control_plane.key, secret="mistral-spare")
        await place.mistral.add_key("pool", CANARY, state="revoked")
        await client.send("conversation.item.create", item=QUESTION)
        await client.send("response.create")
        failed = (await client.until("response.done"))["response"]
        assert failed["status"] == "failed"
        assert CANARY not in str(failed)
        await eventually(lambda: [session.opened.epoch > 1 for session in broker.sessions] == [True], "the session's move")
        assert await ask(client)
    await eventually(lambda: any(report.outcome.value == "Refused" for report in place.control_plane.reports), "the key's report")
    assert {record["endpoint"] for record in await place.mistral.requests(key_id="spare")} >= {"chat", "speech_realtime"}


async def test_a_rotated_key_serves_new_sessions_while_old_ones_keep_theirs(place: Place, broker: Broker) -> None:
    await place.mistral.add_key("fresh", "fresh-pool-key-00001")
    tenant = await place.tenant()
    async with place.gateway(tenant) as gateway, gateway.connect() as old:
        assert await ask(old)
        await place.put_key("fresh-pool-key-00001")
        before = len(await place.mistral.requests(key_id="pool"))
        assert await ask(old)
        assert len(await place.mistral.requests(key_id="pool")) > before
        assert await place.mistral.requests(key_id="fresh") == []
        async with gateway.connect() as new:
            assert await ask(new)
        assert await place.mistral.requests(key_id="fresh")


async def test_the_key_is_nowhere_a_tenant_or_an_observer_looks(place: Place, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    tenant = await place.tenant()
    async with place.gateway(tenant) as gateway, gateway.connect() as client:
        assert await ask(client)
        await place.mistral.add_fault("status", status=500, times=4)
        await client.send("response.create")
        await client.until("response.done")
        _, metrics = await gateway.get("/metrics", metrics=True)
        told = str(client.events)
        written = "".join(path.read_text() for path in gateway.files.directory.rglob("*") if path.is_file())
    secrets = place.cluster.kubectl("get", "secrets,configmaps,pods,mistralvoiceintegrations", "-n", tenant.namespace, "-o", "yaml").stdout
    for text in (metrics, told, written, secrets, caplog.text):
        assert CANARY not in text


async def test_clocks_that_are_wrong_change_nothing_of_a_session(place: Place) -> None:
    """The broker's is a day behind, the gateway's a day ahead: lease, tickets and the announced end are told as durations."""
    place.control_plane.renew_after_seconds = 1
    place.control_plane.quantum_seconds = 8
    day = 86_400.0
    tenant = await place.tenant()
    ahead, behind = Clock(wall=lambda: time.time() + day), Clock(wall=lambda: time.time() - day)
    async with (
        place.broker(clock=behind),
        place.gateway(tenant, clock=ahead) as gateway,
        gateway.connect() as client,
    ):
        assert await ask(client)
        await eventually(lambda: place.control_plane.renewals, "a renewal")
        assert await ask(client)
        place.control_plane.renewal_refusal = Refusal(RefusalReason.SECONDS_EXHAUSTED, "The namespace's seconds are used up.")
        updated = await client.until("session.updated")
        assert updated["session"]["expires_at"] <= time.time() + day + 9
        assert (await client.until("error"))["error"]["code"] == "session_expired"
        assert await client.until_closed() == 1000
