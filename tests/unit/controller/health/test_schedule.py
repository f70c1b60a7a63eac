"""When an integration is checked next."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.schedule import first_check_after_restart, next_check, shared_since
from mistral_voice.controller.health.thresholds import Health, after
from tests.unit.controller.given import NOW, health, probed

CHANCE = st.floats(0, 1)
INTERVAL = st.integers(10, 86400)


def seconds(state: Health, interval: float, chance: float = 0.5) -> float:
    return (next_check(state, interval, NOW, lambda: chance) - NOW) / timedelta(seconds=1)


@generated(INTERVAL, CHANCE)
def test_healthy_integration_is_checked_after_its_interval_give_or_take_a_fifth(interval: int, chance: float) -> None:
    assert 0.8 * interval - 1e-3 <= seconds(health(ProbeCode.CONNECTED), interval, chance) <= 1.2 * interval + 1e-3


def test_failure_is_looked_at_soon_then_less_and_less_often_up_to_the_interval() -> None:
    state, waits = Health(), []
    for _ in range(12):
        state = after(state, probed(ProbeCode.UPSTREAM_ERROR))
        waits.append(seconds(state, 300))
    assert waits[:4] == [5, 10, 20, 40]
    assert all(shorter <= longer for shorter, longer in pairwise(waits))
    assert waits[-1] == 300


@generated(INTERVAL, CHANCE, st.integers(1, 2000))
def test_failing_integration_is_never_checked_later_than_a_healthy_one(interval: int, chance: float, failures: int) -> None:
    state = health(*[ProbeCode.UNAUTHORIZED] * min(failures, 40))
    assert seconds(state, interval, chance) <= 1.2 * interval + 1e-3


@generated(CHANCE, st.integers(1, 3600))
def test_patience_that_mistral_asks_for_is_kept(chance: float, patience: int) -> None:
    state = after(Health(), probed(ProbeCode.RATE_LIMITED, retry_after_seconds=float(patience)))
    assert seconds(state, 10, chance) >= patience - 1e-3


def test_rate_limit_is_not_pressed_unless_nothing_is_known_yet() -> None:
    assert seconds(health(ProbeCode.CONNECTED, ProbeCode.RATE_LIMITED), 300) == 300
    assert seconds(health(ProbeCode.RATE_LIMITED), 300) == 5


DUE = NOW - timedelta(seconds=3)


def test_young_result_of_another_stands_for_a_first_check_and_for_one_of_what_was_well() -> None:
    assert shared_since(Health(), None, 300, NOW) == NOW - timedelta(seconds=60)
    assert shared_since(health(ProbeCode.CONNECTED), DUE, 300, NOW) == DUE - timedelta(seconds=60)


@pytest.mark.parametrize("codes", [[ProbeCode.UNAUTHORIZED], [ProbeCode.CONNECTED, ProbeCode.UPSTREAM_ERROR], [ProbeCode.UPSTREAM_ERROR]])
def test_what_was_not_well_takes_no_result_from_before_its_check_fell_due(codes: list[ProbeCode]) -> None:
    assert shared_since(health(*codes), DUE, 300, NOW) == DUE


@generated(INTERVAL, CHANCE)
def test_own_result_never_stands_for_the_next_check(interval: int, chance: float) -> None:
    due = next_check(health(ProbeCode.CONNECTED), interval, NOW, lambda: chance)
    assert shared_since(health(ProbeCode.CONNECTED), due, interval, due) > NOW


@generated(INTERVAL, CHANCE)
def test_restart_spreads_the_healthy_over_their_interval_and_looks_at_the_rest_soon(interval: int, chance: float) -> None:
    healthy = first_check_after_restart(health(ProbeCode.CONNECTED), interval, NOW, lambda: chance)
    assert timedelta(0) <= healthy - NOW <= timedelta(seconds=interval)
    ill = first_check_after_restart(health(ProbeCode.UNAUTHORIZED), interval, NOW, lambda: chance)
    assert ill - NOW <= timedelta(seconds=30)
