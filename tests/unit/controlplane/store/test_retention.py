from mistral_voice.contract.lease import LeaseGrant, Refusal
from mistral_voice.controlplane.store import schema
from mistral_voice.controlplane.store.retention import Removed, Retention, remove_old
from tests.support.ledger import World, a_report, a_request

DAY = 86_400
KEEP = Retention(session_days=30, entry_days=400, audit_days=90)


async def remove(world: World) -> Removed:
    return await remove_old(world.database, KEEP)


async def a_session_that_ended(world: World, name: str) -> None:
    await world.ledger.admit(a_request(name))
    await world.ledger.release(a_report(name, seconds=3, tokens=10))


async def test_what_is_old_goes_and_every_balance_stays(world: World) -> None:
    await a_session_that_ended(world, "old")
    balanced = await world.balanced()
    world.now += 31 * DAY
    await a_session_that_ended(world, "new")
    assert await remove(world) == Removed(sessions=1)
    assert [row["session"] for row in await world.rows(schema.sessions)] == ["new"]
    assert [row["session"] for row in await world.rows(schema.usage)] == ["new"]
    world.now += 60 * DAY
    assert await remove(world) == Removed(sessions=1, audit=1)
    assert await world.charged() == await world.balanced()
    world.now += 310 * DAY
    assert (await remove(world)).entries > 0
    assert await world.balanced() == (2 * balanced[0], 2 * balanced[1])
    assert await world.charged() < await world.balanced()
    assert await remove(world) == Removed()


async def test_a_session_that_runs_or_holds_something_is_never_removed(world: World) -> None:
    await world.ledger.admit(a_request())
    world.now += 500 * DAY
    assert (await remove(world)).sessions == 0
    await world.ledger.sweep()
    assert (await remove(world)).sessions == 0
    world.now += 31 * DAY
    assert (await remove(world)).sessions == 1
    assert await world.held() == 0


async def test_a_report_of_a_session_that_was_removed_counts_nothing_again(world: World) -> None:
    await a_session_that_ended(world, "old")
    used = await world.balanced()
    world.now += 31 * DAY
    await remove(world)
    assert isinstance(await world.ledger.renew(a_report("old", seq=9, seconds=3, tokens=10)), Refusal)
    assert await world.balanced() == used


async def test_a_flood_of_refusals_is_one_row_a_minute_for_each_tenant_and_reason(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1})
    assert isinstance(await world.ledger.admit(a_request("first")), LeaseGrant)
    for minute in range(2):
        for number in range(40):
            assert isinstance(await world.ledger.admit(a_request(f"refused-{minute}-{number}")), Refusal)
        await world.ledger.admit(a_request("lost", plan="missing"))
        await world.ledger.renew(a_report("first", seq=minute, seconds=1))
        world.now += 60
        await world.ledger.renew(a_report("first", seq=minute + 10, seconds=1))
    refused = [row for row in await world.rows(schema.audit) if row["event"] == "Refused"]
    assert sorted((row["plan"], row["reason"], row["times"]) for row in refused) == [
        ("missing", "PlanNotFound", 1),
        ("missing", "PlanNotFound", 1),
        ("standard", "SessionsExhausted", 40),
        ("standard", "SessionsExhausted", 40),
    ]
