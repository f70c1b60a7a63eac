"""When an integration is visited again although nothing tells of a change."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mistral_voice.controller.health.target import probe_target
from mistral_voice.controller.input import Input, TakenName
from mistral_voice.controller.memory import Memory
from mistral_voice.controller.next_visit import (
    LEAVING_POLL_SECONDS,
    OTHERS_POLL_SECONDS,
    POD_POLL_SECONDS,
    SHORTEST_WAIT_SECONDS,
    next_visit,
)
from tests.unit.controller.given import MISSING, NOW, RUNNING, claiming, known, platform

INTERVAL = timedelta(seconds=300)


def checked(state: Input) -> Memory:
    """Return the memory of an integration whose next check is an interval away."""
    return Memory(state.uid, generation=1, target=probe_target(state), next_check_at=NOW + INTERVAL)


def test_one_with_all_well_is_visited_for_its_next_check() -> None:
    assert next_visit(known(), checked(known()), NOW) == INTERVAL.total_seconds()


def test_a_reference_that_leads_nowhere_is_tried_again_after_its_own_delay() -> None:
    state = known(credential=MISSING)
    assert next_visit(state, replace(checked(state), credential_retry_seconds=4.0), NOW) == 4.0


def test_what_can_not_be_checked_is_not_visited_for_a_check() -> None:
    overdue = replace(checked(known()), target=None, next_check_at=NOW - INTERVAL)
    assert next_visit(known(spec={"endpoint": "gone"}), overdue, NOW) is None


def test_a_managed_one_is_visited_in_the_rhythm_of_checks_though_there_is_none() -> None:
    moments = {next_visit(state, Memory(state.uid, generation=1), NOW) for state in (claiming(uid=f"u{number}") for number in range(50))}
    assert len(moments) > 40, "they are spread"
    assert all(moment is not None and 240 <= moment <= 360 for moment in moments)


def test_a_managed_one_without_a_plan_waits_for_the_plan() -> None:
    state = claiming(platform(plan=None, pool=None))
    assert next_visit(state, Memory(state.uid, generation=1), NOW) is None


async def test_a_check_under_way_enqueues_by_itself() -> None:
    state = known()
    running = asyncio.create_task(asyncio.sleep(0))
    assert next_visit(state, replace(checked(state), next_check_at=None, running_check=running), NOW) is None
    await running


def test_a_check_that_counted_for_nothing_is_made_up_for_at_once() -> None:
    assert next_visit(known(), replace(checked(known()), next_check_at=None), NOW) == SHORTEST_WAIT_SECONDS


def test_pods_are_looked_at_while_a_roll_out_is_under_way_even_if_enough_former_ones_are_ready() -> None:
    surging = known(deployment=replace(RUNNING, generation=2, observed_generation=2, replicas=2))
    assert next_visit(surging, checked(surging), NOW) == POD_POLL_SECONDS


WITHOUT_TOKEN = {"gateway": {"auth": {"tokenSecretRef": {"name": "mine"}}}}
WITH_ROUTE = {"gateway": {"expose": {"httpRoute": {"parentRefs": [{"name": "public"}]}}}}


@pytest.mark.parametrize(
    "state",
    [
        known(spec=WITHOUT_TOKEN, token=None),
        known(spec=WITH_ROUTE, gateway_api_installed=False),
        known(absent_secrets=frozenset({"certificate"})),
        known(taken=(TakenName("ConfigMap", "support-voice"),)),
    ],
    ids=["own token", "Gateway API", "certificate", "taken name"],
)
def test_what_is_not_watched_and_missing_is_looked_at_again(state: Input) -> None:
    assert next_visit(state, checked(state), NOW) == OTHERS_POLL_SECONDS


def test_a_name_that_becomes_free_by_itself_is_looked_at_soon() -> None:
    state = known(taken=(TakenName("Secret", "support-voice-token", leaving=True),))
    assert next_visit(state, checked(state), NOW) == LEAVING_POLL_SECONDS


def test_another_spec_forgets_how_long_the_former_reference_led_nowhere() -> None:
    memory = Memory("u", generation=1, credential=MISSING, credential_retry_seconds=30.0, next_check_at=NOW)
    memory.turn_to(2)
    assert (memory.credential, memory.credential_retry_seconds, memory.next_check_at) == (None, 0.0, None)
