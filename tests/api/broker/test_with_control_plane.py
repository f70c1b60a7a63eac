"""Gateway, broker and control plane together, each the real one; the ledger on SQLite."""

from tests.api.broker.place import Place
from tests.api.broker.test_session_life import ask, refusal
from tests.api.broker.whole import running_whole
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
