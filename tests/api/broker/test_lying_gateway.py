"""A gateway that lies to a broker, with the real control plane behind it: nothing is free, and nobody else pays or suffers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from mistral_voice.broker.allowance import LINES_AT_ONCE
from mistral_voice.contract.lease import Opened, RefusalReason
from mistral_voice.controlplane.ledger.decisions import MOST_UNSETTLED
from mistral_voice.runtime.clock import Clock
from tests.api.broker.line import Hand, OpenLine, hand
from tests.api.broker.place import Place
from tests.api.broker.whole import Whole, running_whole, whole_place
from tests.support.waiting import eventually
from tests.unit.contract.v1alpha1.plans import PRICES

LONG = {"quantumSeconds": 300}
"""No lease runs out in the course of a test."""


@pytest.fixture
async def whole(place: Place) -> AsyncIterator[Whole]:
    async with running_whole(place, **LONG) as whole:
        yield whole


@pytest.fixture
async def reach(place: Place, whole: Whole) -> AsyncIterator[Hand]:
    async with hand(place.url, place.ca_file) as reach:
        yield reach


@contextlib.asynccontextmanager
async def lines(reach: Hand, token: str, *names: tuple[str, int]) -> AsyncIterator[list[OpenLine]]:
    """Open lines for sessions under epochs, all at the same time, and hold those that are granted."""
    async with AsyncExitStack() as open_lines:

        async def line(session: str, epoch: int) -> OpenLine:
            return await open_lines.enter_async_context(reach.line(token, session, epoch))

        yield await asyncio.gather(*(line(*name) for name in names))


async def test_one_lease_is_one_lines_however_often_its_session_is_named(place: Place, whole: Whole, reach: Hand) -> None:
    """Lines that shared an epoch would each count from zero, and only the greatest count would be charged."""
    token = await place.token(await place.tenant())
    async with lines(reach, token, *[("sess_1", 1)] * 8) as opened:
        granted = [line.opened.ticket for line in opened if isinstance(line.answer, Opened)]
        assert len(granted) == 1
        assert {line.refused.reason for line in opened if not isinstance(line.answer, Opened)} == {RefusalReason.EPOCH_OVER}
        assert (await reach.chat(granted[0]))[0] == 200
    async with reach.line(token, "sess_1", 1) as again:
        assert again.refused.reason is RefusalReason.EPOCH_OVER


async def test_all_that_lines_of_one_session_use_is_charged(place: Place, whole: Whole, reach: Hand) -> None:
    tenant = await place.tenant()
    told = 0
    async with lines(reach, await place.token(tenant), ("sess_1", 1)) as (first,), AsyncExitStack() as more:
        second = await more.enter_async_context(reach.line(await place.token(tenant), "sess_1", 2))
        for line in (first, second):
            assert (await reach.chat(line.opened.ticket))[0] == 200
            told += 1
    await eventually(whole.all_is_told, "both releases")
    records = [record for record in await place.mistral.requests(key_id="pool") if record["endpoint"] == "chat"]
    assert len(records) == told == 2
    tokens = whole.rows(
        "select epoch, sum(amount) from entries where namespace = ? and unit like '%Tokens' group by epoch", tenant.namespace
    )
    assert [epoch for epoch, _ in tokens] == [1, 2]
    assert tokens[0][1] == tokens[1][1] > 0


async def test_a_session_that_is_moved_again_and_again_has_few_lines(place: Place, whole: Whole, reach: Hand) -> None:
    token = await place.token(await place.tenant())
    async with AsyncExitStack() as open_lines:
        answers = [await open_lines.enter_async_context(reach.line(token, "sess_1", epoch)) for epoch in range(1, 10)]
        assert sum(isinstance(line.answer, Opened) for line in answers) == MOST_UNSETTLED
        assert answers[-1].refused.reason is RefusalReason.TOO_MANY_REQUESTS


async def test_another_tenants_session_is_out_of_reach(place: Place, whole: Whole, reach: Hand) -> None:
    """By its name, which a thief happens to know: under its epoch, a later one, and from another integration of the namespace."""
    owner, thief = await place.tenant(), await place.tenant()
    await place.put_integration(owner.namespace, "other")
    neighbour = await place.pod(owner.namespace, "other-voice", "other-0")
    async with reach.line(await place.token(owner), "sess_1") as line:
        for token in (await place.token(thief), await place.token(neighbour, "other-voice")):
            for epoch in (1, 2, 1_000_000):
                async with reach.line(token, "sess_1", epoch) as stolen:
                    assert stolen.refused.reason is RefusalReason.EPOCH_OVER
        assert (await reach.chat(line.opened.ticket))[0] == 200
    await eventually(whole.all_is_told, "the release")
    assert whole.charged(owner.namespace)[1] > 0
    assert whole.charged(thief.namespace) == (0, 0)


async def test_a_session_is_not_taken_along_when_its_integration_claims_another_plan(place: Place, whole: Whole, reach: Hand) -> None:
    """The owner of the first plan has not consented to what the second one's does."""
    tenant = await place.tenant()
    first = place.plan
    token = await place.token(tenant)
    async with reach.line(token, "sess_1") as line:
        assert line.opened
        place.plan = f"{first}-other"
        await whole.put_plan()
        await place.put_integration(tenant.namespace)
        async with reach.line(token, "sess_1", 2) as moved:
            assert moved.refused.reason is RefusalReason.LEASE_EXPIRED
        async with reach.line(token, "sess_2") as new:
            assert new.opened
    assert whole.rows("select distinct plan from sessions where session = 'sess_1'") == [(first,)]


async def test_more_integrations_make_no_more_quota(place: Place, whole: Whole, reach: Hand) -> None:
    await whole.put_plan(**LONG, limits={"concurrentSessions": 2}, perIntegration={"concurrentSessions": 1})
    tenant, other = await place.tenant(), await place.tenant()
    tokens = [await place.token(tenant)]
    for name in ("second", "third"):
        await place.put_integration(tenant.namespace, name)
        tokens.append(await place.token(await place.pod(tenant.namespace, f"{name}-voice", f"{name}-0"), f"{name}-voice"))
    async with AsyncExitStack() as open_lines:

        async def line(token: str, session: str) -> OpenLine:
            return await open_lines.enter_async_context(reach.line(token, session))

        assert (await line(tokens[0], "s1")).opened
        assert (await line(tokens[0], "s2")).refused.reason is RefusalReason.SESSIONS_EXHAUSTED
        assert (await line(tokens[1], "s3")).opened
        assert (await line(tokens[2], "s4")).refused.reason is RefusalReason.SESSIONS_EXHAUSTED
        assert (await line(await place.token(other), "s5")).opened, "another namespace has limits of its own"


async def test_a_race_for_the_last_places_is_won_by_as_many_as_there_are(place: Place, whole: Whole, reach: Hand) -> None:
    """At two brokers at the same time: what is looked at and what is taken is one step."""
    await whole.put_plan(**LONG, limits={"concurrentSessions": 3})
    token = await place.token(await place.tenant())
    async with whole.broker("broker-1"), lines(reach, token, *[(f"sess_{number}", 1) for number in range(24)]) as opened:
        assert sum(isinstance(line.answer, Opened) for line in opened) == 3
        assert {line.refused.reason for line in opened if not isinstance(line.answer, Opened)} == {RefusalReason.SESSIONS_EXHAUSTED}


async def test_a_tenant_that_floods_keeps_nobody_else_out(place: Place) -> None:
    """For the broker no time goes by: as many lines are looked at as may be opened at once, and as many granted as the plan has places."""
    standing = Clock(monotonic=lambda: 1000.0)
    async with whole_place(place) as whole, whole.control_plane(), whole.broker(clock=standing):
        await whole.put_plan(**LONG, limits={"concurrentSessions": 2})
        await whole.key_state("mistral-main", "Active")
        flood, other = await place.tenant(), await place.tenant()
        token = await place.token(flood)
        async with hand(f"https://127.0.0.1:{place.brokers[0].port}", place.ca_file) as reach, AsyncExitStack() as open_lines:
            for number in range(LINES_AT_ONCE):
                await open_lines.enter_async_context(reach.line(token, f"sess_{number % 3}", 1 + number // 3))
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await open_lines.enter_async_context(reach.line(token, "sess_late"))
            assert refused.value.status == 429
            async with hand(reach.url, place.ca_file, address="127.0.0.2") as elsewhere:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await open_lines.enter_async_context(elsewhere.line(token, "sess_elsewhere"))
                assert refused.value.status == 429, "it is the namespace's rate, wherever it asks from"
                async with elsewhere.line(await place.token(other), "sess_other") as served:
                    assert (await elsewhere.chat(served.opened.ticket))[0] == 200
        assert whole.count("sessions", namespace=flood.namespace) == 2


async def test_a_gateway_that_leaves_in_the_midst_of_its_admission_leaves_no_place_taken(place: Place, whole: Whole, reach: Hand) -> None:
    """Nobody speaks in such a session: it is charged no longer than it was there, and keeps no place until its lease runs out."""
    await whole.put_plan(**LONG, limits={"concurrentSessions": 2})
    tenant = await place.tenant()
    token = await place.token(tenant)

    async def leave(number: int) -> None:
        async with reach.line(token, f"sess_{number}"):
            await asyncio.Event().wait()

    attempts, began = 20, time.monotonic()
    for number in range(attempts):
        before = whole.count("audit", namespace=tenant.namespace)
        hasty = asyncio.create_task(leave(number))

        def decided(before: int = before) -> bool:
            return whole.count("audit", namespace=tenant.namespace) > before

        await eventually(decided, "the admission", every_seconds=0)
        hasty.cancel()
        await asyncio.gather(hasty, return_exceptions=True)
        await eventually(lambda: whole.count("holds") == 0, "the place to be free")
    rounded_up_ms = attempts
    assert whole.charged(tenant.namespace)[0] <= (time.monotonic() - began) * 1000 + rounded_up_ms


async def test_what_has_no_price_is_refused_and_never_free(place: Place, whole: Whole, reach: Hand) -> None:
    await whole.put_plan(
        models={"chat": ["mistral-medium-latest", "mistral-small-latest"]}, priceBook={"currency": "EUR", "prices": PRICES}
    )
    tenant = await place.tenant()
    async with reach.line(await place.token(tenant), model="mistral-small-latest") as line:
        assert line.refused.reason is RefusalReason.NO_PRICE
    assert whole.count("holds") == 0
