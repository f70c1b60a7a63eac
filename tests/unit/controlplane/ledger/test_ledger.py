"""What brokers see of the ledger, on a real SQLite database."""

import asyncio
from datetime import UTC, datetime

from msgspec import structs

from mistral_voice.contract.lease import Amount, LeaseGrant, Refusal, RefusalReason, Unit
from mistral_voice.controlplane.ledger.decisions import MOST_UNSETTLED
from mistral_voice.controlplane.ledger.ledger import LedgerLimits
from mistral_voice.controlplane.store import schema
from tests.support.ledger import BEGIN, CHAT, HEARING, KEY, PRICES, World, a_report, a_request

SECOND_MS = 1000


def refused(answer: object) -> RefusalReason:
    assert isinstance(answer, Refusal), answer
    assert answer.message.endswith(".")
    return answer.reason


def granted(answer: object) -> LeaseGrant:
    assert isinstance(answer, LeaseGrant), answer
    return answer


async def test_a_session_gets_a_lease_of_a_quantum_and_its_key(world: World) -> None:
    grant = granted(await world.ledger.admit(a_request()))
    assert grant == LeaseGrant("s1", 1, 30, 20, 60, KEY)


async def test_a_namespace_has_no_more_sessions_at_once_than_its_plan_allows(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 2})
    answers = await asyncio.gather(*(world.ledger.admit(a_request(f"s{n}", integration=f"i{n}")) for n in range(5)))
    assert [isinstance(answer, LeaseGrant) for answer in answers].count(True) == 2
    assert refused(answers[-1]) is RefusalReason.SESSIONS_EXHAUSTED
    assert isinstance(await world.ledger.admit(a_request("other", namespace="bank")), LeaseGrant)


async def test_limits_of_an_integration_and_of_all_namespaces_hold_too(world: World) -> None:
    world.set_plan(perIntegration={"concurrentSessions": 1}, total={"concurrentSessions": 2})
    granted(await world.ledger.admit(a_request("s1")))
    assert refused(await world.ledger.admit(a_request("s2"))) is RefusalReason.SESSIONS_EXHAUSTED
    granted(await world.ledger.admit(a_request("s3", integration="other")))
    refusal = await world.ledger.admit(a_request("s4", namespace="bank"))
    assert refused(refusal) is RefusalReason.SESSIONS_EXHAUSTED
    assert isinstance(refusal, Refusal)
    assert "all namespaces together" in refusal.message


async def test_time_held_in_advance_counts_against_the_limit(world: World) -> None:
    world.set_plan(limits={"sessionSecondsPerPeriod": 60})
    for name in ("s1", "s2"):
        granted(await world.ledger.admit(a_request(name)))
    assert refused(await world.ledger.admit(a_request("s3"))) is RefusalReason.SECONDS_EXHAUSTED
    await world.ledger.release(a_report("s1", seconds=2))
    assert refused(await world.ledger.admit(a_request("s3"))) is RefusalReason.SECONDS_EXHAUSTED
    world.set_plan(limits={"sessionSecondsPerPeriod": 62})
    granted(await world.ledger.admit(a_request("s3")))


async def test_a_long_session_does_not_outlive_its_budget(world: World) -> None:
    world.set_plan(limits={"sessionSecondsPerPeriod": 60})
    granted(await world.ledger.admit(a_request()))
    world.now += 20
    granted(await world.ledger.renew(a_report(seq=1, seconds=20)))
    world.now += 20
    assert refused(await world.ledger.renew(a_report(seq=2, seconds=40))) is RefusalReason.SECONDS_EXHAUSTED
    assert await world.used() == (40 * SECOND_MS, 0)


async def test_a_session_that_spends_more_than_was_thought_holds_more(world: World) -> None:
    world.set_plan(limits={"spendPerPeriod": "1.00"})
    granted(await world.ledger.admit(a_request()))
    world.now += 20
    # 210,000 tokens cost 0.42; as much again in the next lease, and another half of it, would be too much.
    assert refused(await world.ledger.renew(a_report(tokens=210_000))) is RefusalReason.SPEND_EXHAUSTED


async def test_a_report_counts_once_however_often_and_in_whatever_order_it_comes(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    reports = [a_report(seq=seq, seconds=seq, tokens=1000 * seq) for seq in (3, 1, 3, 2, 4, 4, 1)]
    await asyncio.gather(*(world.ledger.renew(report) for report in reports))
    assert await world.used() == (4 * SECOND_MS, 8000)
    assert await world.used(integration="assistant") == await world.used() == await world.used(namespace="") == await world.charged()


async def test_a_release_gives_back_and_a_second_one_changes_nothing(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    for _ in range(2):
        assert await world.ledger.release(a_report(seconds=5)) is None
    assert await world.held() == 0
    assert await world.used() == (5 * SECOND_MS, 0)
    assert refused(await world.ledger.renew(a_report(seq=2, seconds=6))) is RefusalReason.EPOCH_OVER
    assert await world.used() == (6 * SECOND_MS, 0), "what is told late still counts"


async def test_a_request_whose_answer_was_lost_gets_the_same_lease_again(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1})
    first = granted(await world.ledger.admit(a_request()))
    world.now += 1
    assert await world.ledger.admit(a_request()) == structs.replace(first, lease_seconds=29, renew_after_seconds=19)
    assert refused(await world.ledger.admit(a_request(broker="broker-2"))) is RefusalReason.EPOCH_OVER


async def test_another_tenants_session_cannot_be_taken_over(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    assert refused(await world.ledger.admit(a_request(epoch=2, namespace="thief"))) is RefusalReason.EPOCH_OVER
    assert refused(await world.ledger.admit(a_request(epoch=2, integration="thief"))) is RefusalReason.EPOCH_OVER


async def test_a_session_is_never_taken_along_to_another_plan(world: World) -> None:
    """Its integration claims another plan now, whose owner consents: under the former it has no session any more."""
    world.set_plan("other")
    granted(await world.ledger.admit(a_request()))
    assert refused(await world.ledger.admit(a_request(epoch=2, plan="other"))) is RefusalReason.LEASE_EXPIRED


async def test_a_session_that_is_moved_again_and_again_uses_no_more_time_than_a_few_leases(world: World) -> None:
    """Each lease can be used until it runs out, whatever epoch is granted meanwhile: so few are unsettled at any time."""
    world.set_plan(limits={"sessionSecondsPerPeriod": 40})
    answers = [await world.ledger.admit(a_request(epoch=epoch, broker=f"b/{epoch}")) for epoch in range(1, 20)]
    assert sum(isinstance(answer, LeaseGrant) for answer in answers) == MOST_UNSETTLED
    assert refused(answers[-1]) is RefusalReason.TOO_MANY_REQUESTS
    await world.ledger.release(a_report(epoch=1, seconds=1))
    granted(await world.ledger.admit(a_request(epoch=20)))


async def test_a_new_epoch_takes_the_place_of_the_one_before(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1})
    granted(await world.ledger.admit(a_request()))
    world.now += 10
    granted(await world.ledger.admit(a_request(epoch=2, broker="broker-2")))
    assert refused(await world.ledger.renew(a_report(epoch=1, seconds=9))) is RefusalReason.EPOCH_OVER
    await world.ledger.release(a_report(epoch=1, seq=2, seconds=10))
    granted(await world.ledger.renew(a_report(epoch=2, seconds=1)))
    await world.ledger.release(a_report(epoch=2, seq=2, seconds=7))
    assert await world.used() == (17 * SECOND_MS, 0)
    assert await world.held() == 0


async def test_a_session_that_nobody_tells_of_is_charged_at_most_a_quantum_and_frees_its_place(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1})
    granted(await world.ledger.admit(a_request()))
    world.now += 20
    granted(await world.ledger.renew(a_report(seconds=20)))
    world.now += 30
    assert await world.ledger.sweep() == 1
    assert (await world.used())[0] == 50 * SECOND_MS
    granted(await world.ledger.admit(a_request("s2")))
    assert await world.ledger.sweep() == 0


async def test_the_place_of_a_dead_session_is_free_before_it_is_swept_but_its_time_is_not(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1, "sessionSecondsPerPeriod": 59})
    granted(await world.ledger.admit(a_request()))
    world.now += 31
    assert refused(await world.ledger.admit(a_request("s2"))) is RefusalReason.SECONDS_EXHAUSTED


async def test_a_broker_lost_in_mid_lease_costs_the_time_until_the_session_went_on_elsewhere(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.now += 10
    granted(await world.ledger.admit(a_request(epoch=2, broker="broker-2")))
    world.now += 25
    granted(await world.ledger.renew(a_report(epoch=2, seconds=25)))
    assert await world.ledger.sweep() == 1
    assert (await world.used())[0] == 35 * SECOND_MS


async def test_an_estimate_is_taken_back_when_the_truth_is_told(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.now += 35
    await world.ledger.sweep()
    assert (await world.used())[0] == 30 * SECOND_MS
    grant = granted(await world.ledger.renew(a_report(seconds=35)))
    assert grant.lease_seconds == 30
    assert await world.used() == (35 * SECOND_MS, 0) == await world.charged()
    kinds = [row["kind"] for row in await world.rows(schema.entries)]
    assert kinds == ["Estimate", "Correction", "Usage"]


async def test_a_lease_is_not_renewed_after_its_grace(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.now += 91
    assert refused(await world.ledger.renew(a_report(seconds=91))) is RefusalReason.LEASE_EXPIRED
    assert (await world.used())[0] == 91 * SECOND_MS, "what was used counts all the same"


async def test_a_session_whose_place_was_given_away_does_not_come_back(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1})
    granted(await world.ledger.admit(a_request()))
    world.now += 40
    granted(await world.ledger.admit(a_request("s2")))
    assert refused(await world.ledger.renew(a_report(seconds=40))) is RefusalReason.SESSIONS_EXHAUSTED


async def test_use_without_a_price_is_never_free_and_ends_the_session(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    strange = Amount("mistral-unheard-of", Unit.OUTPUT_TOKENS, 1_000_000)
    assert refused(await world.ledger.renew(a_report(amounts=(strange,)))) is RefusalReason.NO_PRICE
    assert await world.used() == (0, 2_000_000)


async def test_a_session_needs_a_price_for_each_model(world: World) -> None:
    assert refused(await world.ledger.admit(a_request(models=("mistral-large",)))) is RefusalReason.MODEL_NOT_IN_PLAN
    world.set_plan(models={"chat": [CHAT, "mistral-large"]})
    assert refused(await world.ledger.admit(a_request(models=("mistral-large",)))) is RefusalReason.NO_PRICE


async def test_a_price_holds_from_its_day_on(world: World) -> None:
    tomorrow = datetime.fromtimestamp(BEGIN + 86_400, UTC).date().isoformat()
    prices = list(PRICES)
    dearer = {"from": tomorrow, "model": CHAT, "unit": "outputTokens", "price": "5.00"}
    world.set_plan(priceBook={"currency": "EUR", "prices": [*prices, dearer]}, quantumSeconds=300, offlineGraceSeconds=600)
    granted(await world.ledger.admit(a_request("s1")))
    granted(await world.ledger.renew(a_report("s1", tokens=1_000_000)))
    assert (await world.used())[1] == 2_000_000
    world.now += 86_400
    granted(await world.ledger.admit(a_request("s2")))
    granted(await world.ledger.renew(a_report("s2", tokens=1_000_000)))
    assert (await world.used())[1] == 7_000_000


async def test_a_shadow_plan_counts_and_refuses_nothing(world: World) -> None:
    world.set_plan(enforcement="Shadow", limits={"concurrentSessions": 0})
    granted(await world.ledger.admit(a_request()))
    events = [(row["event"], row["reason"]) for row in await world.rows(schema.audit)]
    assert ("WouldHaveBeenRefused", "SessionsExhausted") in events


async def test_a_held_plan_admits_nobody_and_lets_others_run_on_until_it_drains(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.set_plan(stopPolicy="Hold")
    assert refused(await world.ledger.admit(a_request("s2"))) is RefusalReason.PLAN_HELD
    granted(await world.ledger.renew(a_report(seconds=1)))
    granted(await world.ledger.admit(a_request("s1", 2)))
    world.set_plan(stopPolicy="HoldAndDrain")
    assert refused(await world.ledger.renew(a_report(epoch=2, seconds=2))) is RefusalReason.PLAN_HELD
    assert refused(await world.ledger.admit(a_request("s1", 3))) is RefusalReason.PLAN_HELD


async def test_a_session_that_has_ended_does_not_begin_anew_under_a_held_plan(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    await world.ledger.release(a_report(seconds=1))
    world.set_plan(stopPolicy="Hold")
    assert refused(await world.ledger.admit(a_request(epoch=2))) is RefusalReason.PLAN_HELD


async def test_a_deleted_plan_ends_its_sessions_and_still_prices_them(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.set_plan(deleted=True)
    assert refused(await world.ledger.renew(a_report(tokens=1000))) is RefusalReason.PLAN_NOT_FOUND
    assert refused(await world.ledger.admit(a_request("s2"))) is RefusalReason.PLAN_NOT_FOUND
    assert await world.ledger.release(a_report(seq=2, tokens=2000)) is None
    assert (await world.used())[1] == 4000


async def test_sessions_above_a_limit_that_was_lowered_run_on(world: World) -> None:
    for n in range(3):
        granted(await world.ledger.admit(a_request(f"s{n}")))
    world.set_plan(limits={"concurrentSessions": 1})
    granted(await world.ledger.renew(a_report("s0", seconds=1)))
    assert refused(await world.ledger.admit(a_request("s4"))) is RefusalReason.SESSIONS_EXHAUSTED


async def test_what_is_told_after_a_periods_end_counts_in_the_next(world: World) -> None:
    world.set_plan(period="Day", limits={"sessionSecondsPerPeriod": 60})
    midnight = BEGIN - BEGIN % 86_400 + 86_400
    world.now = midnight - 25
    granted(await world.ledger.admit(a_request()))
    world.now = midnight - 5
    granted(await world.ledger.renew(a_report(seconds=20)))
    world.now = midnight + 15
    granted(await world.ledger.renew(a_report(seq=2, seconds=40)))
    assert (await world.used())[0] == 20 * SECOND_MS
    past = {row["scope"]: row["session_ms"] for row in await world.rows(schema.past_balances)}
    assert past["standard/shop/~"] == 20 * SECOND_MS
    assert await world.balanced() == await world.charged()


async def test_a_correction_falls_into_the_period_of_its_estimate(world: World) -> None:
    world.set_plan(period="Day")
    midnight = BEGIN - BEGIN % 86_400 + 86_400
    world.now = midnight - 40
    granted(await world.ledger.admit(a_request()))
    world.now = midnight - 5
    await world.ledger.sweep()
    world.now = midnight + 5
    granted(await world.ledger.renew(a_report(seconds=45)))
    assert (await world.used())[0] == 45 * SECOND_MS
    assert {row["session_ms"] for row in await world.rows(schema.past_balances)} == {0}
    assert await world.balanced() == await world.charged()


async def test_a_namespace_that_floods_is_refused_and_others_are_not(world: World) -> None:
    world.set_plan(limits={"concurrentSessions": 1000})
    small = world.replica(LedgerLimits(waiting_of_namespace=5))
    asked = [asyncio.create_task(small.admit(a_request(f"s{n}"))) for n in range(20)]
    other = asyncio.create_task(small.admit(a_request("other", namespace="bank")))
    await asyncio.sleep(0)
    running = asyncio.create_task(small.run())
    answers = await asyncio.gather(*asked)
    assert sum(isinstance(answer, LeaseGrant) for answer in answers) == 5
    assert refused(answers[-1]) is RefusalReason.TOO_MANY_REQUESTS
    granted(await other)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_hearing_is_charged_by_the_minute_without_rounding_up_each_report(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    for seq in range(1, 61):
        await world.ledger.renew(a_report(seq=seq, amounts=(Amount(HEARING, Unit.AUDIO_MS, seq * 1000),)))
    assert (await world.used())[1] == 6000


async def test_reports_of_a_session_that_nobody_knows_are_refused(world: World) -> None:
    assert refused(await world.ledger.renew(a_report("nobody"))) is RefusalReason.LEASE_EXPIRED
    assert await world.ledger.release(a_report("nobody")) is not None


async def test_no_key_no_session(world: World) -> None:
    world.key = Refusal(RefusalReason.POOL_EXHAUSTED, "All keys rest.", 17)
    assert await world.ledger.admit(a_request()) == world.key
    assert await world.held() == 0


async def test_a_clock_that_is_set_back_lets_sessions_go_on_and_counts_their_use_once(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.now -= 3600
    assert granted(await world.ledger.renew(a_report(seconds=10))).lease_seconds == 30
    world.now += 40
    assert await world.ledger.sweep() == 1
    assert granted(await world.ledger.renew(a_report(seq=2, seconds=50))).lease_seconds == 30
    assert (await world.used())[0] == 50 * SECOND_MS


async def test_a_clock_that_is_set_ahead_charges_no_more_than_was_used_once_that_is_told(world: World) -> None:
    granted(await world.ledger.admit(a_request()))
    world.now += 3600
    assert await world.ledger.sweep() == 1
    assert (await world.used())[0] == 30 * SECOND_MS
    assert refused(await world.ledger.renew(a_report(seconds=10))) is RefusalReason.LEASE_EXPIRED
    assert await world.used() == (10 * SECOND_MS, 0) == await world.charged()
