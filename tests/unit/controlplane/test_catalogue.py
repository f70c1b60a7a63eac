from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.store import schema
from tests.support.ledger import World, a_plan


async def test_a_plan_that_was_deleted_is_remembered_over_a_restart(world: World) -> None:
    before = Catalogue()
    before.set_plan("standard", a_plan())
    before.set_plan("other", a_plan(quantumSeconds=60))
    await before.keep(world.database)
    before.remove_plan("standard")
    await before.keep(world.database)
    after = Catalogue()
    after.set_plan("other", a_plan(quantumSeconds=90))
    await after.recall(world.database)
    assert after.plans["standard"].deleted
    assert after.plans["standard"].spec == a_plan()
    assert (after.plans["other"].deleted, after.plans["other"].spec.quantum_seconds) == (False, 90)


async def test_changes_of_plans_are_audited_once(world: World) -> None:
    catalogue = Catalogue()
    catalogue.set_plan("standard", a_plan())
    for second in (1, 2):
        world.now = second
        await catalogue.keep(world.database)
    catalogue.remove_plan("standard")
    world.now = 3
    await catalogue.keep(world.database)
    assert [(row["event"], row["at"]) for row in await world.rows(schema.audit)] == [("PlanChanged", 1000), ("PlanDeleted", 3000)]


async def test_the_audit_says_what_of_a_plan_was_changed(world: World) -> None:
    catalogue = Catalogue()
    for changes in ({}, {"quantumSeconds": 60, "limits": {"concurrentSessions": 3}}):
        catalogue.set_plan("standard", a_plan(**changes))
        await catalogue.keep(world.database)
    assert [row["message"] for row in await world.rows(schema.audit)] == [
        "Plan standard is new.",
        "Of plan standard this was changed: limits, quantumSeconds.",
    ]
