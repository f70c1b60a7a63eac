"""What befalls managed sessions while they run, with the real control plane: processes killed, plans, pools and periods that change."""

import json
import time
from typing import Any

import aiohttp
import pytest

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE, Ends, RefusalReason, Ticket
from tests.api.broker.line import OpenLine, hand
from tests.api.broker.place import CANARY, Place
from tests.api.broker.test_session_life import QUESTION, ask, refusal
from tests.api.broker.whole import POOL, Whole, running_whole, whole_place
from tests.support.waiting import eventually

QUICK = {"quantumSeconds": 5, "offlineGraceSeconds": 600}


async def spoken_characters(place: Place) -> int:
    """Return how many characters Mistral was given to speak, by its own record."""
    records = [record for record in await place.mistral.requests() if record["endpoint"] == "speech_realtime"]
    said = [message["body"] for record in records for message in record["messages"] if message["direction"] == "in"]
    return sum(len(body.get("text") or "") for body in said if isinstance(body, dict))


async def ends(line: OpenLine) -> Ends:
    """Receive tickets until the end is told."""
    while isinstance(message := await line.next(), Ticket):
        continue
    assert isinstance(message, Ends)
    return message


async def test_a_control_plane_killed_in_mid_session_costs_no_session_and_counts_each_unit_once(place: Place) -> None:
    async with whole_place(place) as whole, whole.control_plane_process() as process, whole.broker():
        await whole.put_plan(**QUICK)
        await whole.key_state("mistral-main", "Active")
        tenant = await place.tenant()
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            assert await ask(client)
            await eventually(lambda: whole.amounts(tenant.namespace).get("characters"), "a report that counts")
            process.kill()
            await process.wait()
            assert await ask(client)
            error, code = await refusal(place)
            assert (error["code"], code) == ("managed_ledger_unavailable", 1013)
            before = whole.amounts(tenant.namespace)["characters"]
            async with whole.control_plane_process():
                await eventually(lambda: whole.amounts(tenant.namespace)["characters"] > before, "the report of what was used meanwhile")
                assert await ask(client)
                await client.socket.close()
                await eventually(whole.all_is_told, "the release")
                assert whole.amounts(tenant.namespace)["characters"] == await spoken_characters(place) > 0
                assert whole.count("sessions", namespace=tenant.namespace) == 1


async def test_a_broker_killed_in_mid_session_leaves_no_hold_and_nothing_is_counted_twice(place: Place) -> None:
    tenant = await place.tenant()
    async with whole_place(place) as whole, whole.control_plane(), whole.broker_process("broker-0") as first:
        await whole.put_plan(quantumSeconds=5, limits={"concurrentSessions": 1})
        await whole.key_state("mistral-main", "Active")
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            assert await ask(client)
            await eventually(lambda: whole.amounts(tenant.namespace).get("characters"), "a report that counts")
            async with whole.broker("broker-1"):
                place.service.backends.remove(first.port)
                first.kill()
                assert await answered(client)
                await client.socket.close()
                await eventually(whole.all_is_told, "the place of the epoch whose broker is lost")
        epochs = whole.rows("select distinct epoch, state from usage order by epoch")
        assert epochs[0] == (1, "Expired"), "at most a quantum is charged for what its broker could not tell"
        assert epochs[-1][1] == "Released"
        assert all(estimated <= 5000 for (estimated,) in whole.rows("select estimated_ms from usage"))
        assert whole.amounts(tenant.namespace)["characters"] <= await spoken_characters(place)


async def answered(client: Any) -> bool:
    """Ask until an answer is completed: the turn that was open when a broker was lost may fail."""
    await client.send("conversation.item.create", item=QUESTION)
    for _ in range(5):
        await client.send("response.create")
        if (await client.until("response.done"))["response"]["status"] == "completed":
            return True
    return False


async def test_a_limit_lowered_below_present_use_ends_sessions_at_their_renewal_and_refuses_new_ones(place: Place) -> None:
    async with running_whole(place, **QUICK) as whole, hand(place.url, place.ca_file) as reach:
        token = await place.token(await place.tenant())
        async with reach.line(token, "sess_1") as line:
            assert line.opened
            await whole.put_plan(**QUICK, limits={"sessionSecondsPerPeriod": 1})
            end = await ends(line)
            assert end.reason is RefusalReason.SECONDS_EXHAUSTED
            async with reach.line(token, "sess_2") as another:
                assert another.refused.reason is RefusalReason.SECONDS_EXHAUSTED
                assert another.refused.retry_after_seconds


async def test_a_session_does_not_outlive_its_budget(place: Place) -> None:
    """Announced, ended, and not begun anew; what it used is within the documented bound."""
    limits = {"sessionSecondsPerPeriod": 8}
    async with running_whole(place, **QUICK, limits=limits) as whole:
        tenant = await place.tenant()
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            announced = client.session["expires_at"]
            assert (await client.until("session.updated"))["session"]["expires_at"] < announced
            error = (await client.until("error"))["error"]
            assert error["code"] == "session_expired"
            assert "8 seconds" in error["message"]
            assert await client.until_closed() == 1000
        error, _ = await refusal(place, tenant)
        assert error["code"] == "managed_seconds_exhausted"
        await eventually(whole.all_is_told, "the release")
        assert whole.charged(tenant.namespace)[0] <= (8 + 5 + 600) * 1000


async def test_a_plan_deleted_while_it_is_claimed_ends_its_sessions_and_still_charges_them(place: Place) -> None:
    async with running_whole(place, **QUICK) as whole, hand(place.url, place.ca_file) as reach:
        tenant = await place.tenant()
        token = await place.token(tenant)
        async with reach.line(token, "sess_1") as line:
            assert (await reach.chat(line.opened.ticket))[0] == 200
            await place.delete_plan()
            assert (await ends(line)).reason is RefusalReason.PLAN_NOT_FOUND
            async with reach.line(token, "sess_2") as another:
                assert another.refused.reason is RefusalReason.PLAN_NOT_FOUND
        await eventually(whole.all_is_told, "the release")
        assert whole.charged(tenant.namespace)[1] > 0


async def test_a_held_plan_lets_its_sessions_run_on_and_move_and_admits_no_other(place: Place) -> None:
    async with running_whole(place) as whole, whole.broker("broker-1") as second:
        tenant = await place.tenant()
        place.service.backends = [place.brokers[0].port]
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            assert await ask(client)
            await whole.put_plan(stopPolicy="Hold")
            error, _ = await refusal(place, tenant)
            assert error["code"] == "managed_plan_held"
            place.service.backends = [second.port]
            await place.brokers[0].drain(0.0, 60.0)
            assert len(second.sessions) == 1
            assert await ask(client)


async def test_a_period_that_turns_in_mid_session_divides_its_use_and_charges_each_unit_once(place: Place) -> None:
    """The clock that decides stands five minutes before midnight, and leaps over it while the session runs."""
    async with whole_place(place) as whole:
        whole.ahead_seconds = 86_400 - time.time() % 86_400 - 300
        place.plan += "-daily"
        async with whole.control_plane(), whole.broker():
            await whole.put_plan(**QUICK, period="Day", limits={"sessionSecondsPerPeriod": 500})
            await whole.key_state("mistral-main", "Active")
            tenant = await place.tenant()
            async with place.gateway(tenant) as gateway, gateway.connect() as client:
                assert await ask(client)
                await eventually(lambda: whole.amounts(tenant.namespace).get("characters"), "a report that counts")
                first = whole.rows("select distinct period from entries")
                whole.ahead_seconds += 301
                assert await ask(client)
                await eventually(lambda: len(whole.rows("select distinct period from entries where kind = 'Usage'")) == 2, "a new period")
            await eventually(whole.all_is_told, "the release")
            assert len(first) == 1
            assert whole.amounts(tenant.namespace)["characters"] == await spoken_characters(place)
            ((used,),) = whole.rows("select sum(session_ms) from usage")
            assert whole.charged(tenant.namespace)[0] == used
            now = "select session_ms from balances where namespace = ? and integration = ''"
            past = "select sum(session_ms) from past_balances where scope like ? and scope not like '%/~/~'"
            assert whole.rows(now, tenant.namespace)[0][0] + whole.rows(past, f"%/{tenant.namespace}/~")[0][0] == used


async def test_a_pool_that_is_emptied_refuses_new_sessions_and_leaves_those_that_run_their_key(place: Place) -> None:
    async with running_whole(place) as whole:
        tenant = await place.tenant()
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            assert await ask(client)
            await whole.put_pool({"name": "first", "secretRef": {"name": "mistral-main"}, "retire": True})
            await whole.key_state("mistral-main", "Draining")
            error, code = await refusal(place, tenant)
            assert (error["code"], code) == ("managed_pool_exhausted", 1013)
            assert await ask(client)
        await whole.key_state("mistral-main", "Retired")
        await place.client.delete(POOL, None, place.pool_namespace)

        async def gone() -> bool:
            return "doesn't exist" in (await refusal(place, tenant))[0]["message"]

        await eventually(gone, "the pool's end")


async def test_a_key_that_dies_in_mid_session_is_set_aside_and_the_next_turn_has_another(place: Place) -> None:
    async with running_whole(place) as whole:
        tenant = await place.tenant()
        await place.mistral.add_key("spare", "spare-pool-key-00001")
        await place.put_key("spare-pool-key-00001", "mistral-spare")
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            assert await ask(client)
            both = [{"name": name, "secretRef": {"name": f"mistral-{secret}"}} for name, secret in (("first", "main"), ("second", "spare"))]
            await whole.put_pool(*both)
            await whole.key_state("mistral-spare", "Active")
            await place.mistral.add_key("pool", CANARY, state="revoked")
            await client.send("conversation.item.create", item=QUESTION)
            await client.send("response.create")
            assert (await client.until("response.done"))["response"]["status"] == "failed"
            await whole.key_state("mistral-main", "Quarantined")
            await eventually(
                lambda: [session.key.reference.secret for session in place.brokers[0].sessions] == ["mistral-spare"], "the session's move"
            )
            assert await ask(client)


async def test_no_key_no_token_and_no_word_is_found_anywhere(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Logs of all three processes, metrics, objects, the database's files, and all that the API tells, exports included."""
    caplog.set_level("DEBUG")
    word = "canary-word-5c1d"
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"What is {word}?"}]}
    async with running_whole(place, **QUICK) as whole:
        await place.mistral.put_script({"chat": {"replies": [{"text": f"It is {word}."}]}})
        tenant = await place.tenant()
        async with place.gateway(tenant) as gateway, gateway.connect() as client:
            await client.send("conversation.item.create", item=question)
            await client.send("response.create")
            assert word in str(await client.until("response.done"))
            await eventually(lambda: whole.charged(tenant.namespace)[1], "a report that counts")
            told = [await metrics(place.brokers[0].metrics_port), (await gateway.get("/metrics", metrics=True))[1]]
            await place.mistral.add_key("pool", CANARY, state="revoked")
            await client.send("response.create")
            await client.until("response.done")
            await whole.key_state("mistral-main", "Quarantined")
            error, _ = await refusal(place, tenant)
            assert error["code"] == "managed_pool_exhausted"
            unspoken = [CANARY, whole.token_file.read_text(), gateway.files.credential.read_text()]
            for needle in unspoken:
                assert needle not in str(client.events)
        await eventually(whole.all_is_told, "the release")
        told += [await metrics(whole.metrics_port), await metrics(place.brokers[0].metrics_port), caplog.text]
        told += await everything_the_api_tells(place, whole, tenant.namespace)
        told += [path.read_bytes().decode(errors="replace") for path in place.folder.glob("ledger.db*")]
        objects = "mistralvoiceintegrations,mistralvoiceplans,mistralkeypools,pods,configmaps,events,leases,serviceaccounts"
        told.append(place.cluster.kubectl("get", objects, "-A", "-o", "yaml").stdout)
        told.append(place.cluster.kubectl("get", "secrets", "-n", tenant.namespace, "-o", "yaml").stdout)
    for text in told:
        for needle in (*unspoken, word):
            assert needle not in text
    assert any(tenant.namespace in text for text in told)


async def metrics(port: int) -> str:
    """Ask for a process's metrics."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def everything_the_api_tells(place: Place, whole: Whole, namespace: str) -> list[str]:
    """Ask all that the API describes, as somebody who may do everything."""
    reader = await place.pod(place.pool_namespace, "reader", "reader-0")
    account = f"{place.pool_namespace}:reader"
    place.cluster.kubectl(
        "create", "clusterrolebinding", account.replace(":", "-"), "--clusterrole=cluster-admin", f"--serviceaccount={account}"
    )
    headers = {"Authorization": f"Bearer {await place.token(reader, 'reader', CONTROL_PLANE_AUDIENCE)}"}
    days = {"from": time.strftime("%Y-%m-%d", time.gmtime()), "to": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86_400))}
    names = {"plan": place.plan, "pool": place.pool_namespace, "namespace": namespace}
    told = []
    async with hand(whole.url, place.ca_file) as reach:
        async with reach.http.get(f"{whole.url}/api/v1/openapi.json") as answer:
            paths = json.loads(await answer.text())["paths"]
        assert len(paths) > 8
        for path, operations in paths.items():
            parameters = operations["get"].get("parameters", [])
            query = {known["name"]: days[known["name"]] for known in parameters if known["name"] in days}

            async def asked(path: str = path, query: dict[str, str] = query) -> str | None:
                async with reach.http.get(whole.url + path.format(**names), params=query, headers=headers) as answer:
                    text = await answer.text()
                    return text if answer.status == 200 else None

            found = await eventually(asked, f"an answer of {path}")
            assert found is not None
            told.append(found)
    return told
