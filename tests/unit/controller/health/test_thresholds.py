"""What counts at once and what only when it goes on."""

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from mistral_voice.controller.health.result import ProbeCode, ProbeWarning, WarningCode
from mistral_voice.controller.health.thresholds import TROUBLE_THRESHOLD, Health, Verdict, after, restored_health
from tests.unit.controller.given import health, probed

TROUBLE = [code for code in ProbeCode if code.trouble and code is not ProbeCode.RATE_LIMITED]
CLEAR = [code for code in ProbeCode if code.definite and code is not ProbeCode.CONNECTED]
ANY = st.sampled_from(list(ProbeCode))


def test_nothing_is_known_before_the_first_check() -> None:
    assert Health().verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("code", CLEAR)
def test_clear_answer_counts_at_once(code: ProbeCode) -> None:
    state = health(ProbeCode.CONNECTED, code)
    assert (state.verdict, state.code) == (Verdict.UNHEALTHY, code)


@pytest.mark.parametrize("code", TROUBLE)
def test_trouble_on_the_way_counts_after_three_in_a_row(code: ProbeCode) -> None:
    assert health(ProbeCode.CONNECTED, code, code).verdict is Verdict.HEALTHY
    state = health(ProbeCode.CONNECTED, code, code, code)
    assert (state.verdict, state.code) == (Verdict.UNHEALTHY, code)


def test_trouble_that_is_interrupted_by_a_success_begins_anew() -> None:
    timeout = ProbeCode.UPSTREAM_TIMEOUT
    assert health(ProbeCode.CONNECTED, timeout, timeout, ProbeCode.CONNECTED, timeout, timeout).verdict is Verdict.HEALTHY


def test_different_trouble_counts_together() -> None:
    state = health(ProbeCode.CONNECTED, ProbeCode.TLS_ERROR, ProbeCode.UPSTREAM_ERROR, ProbeCode.NAME_NOT_RESOLVED)
    assert (state.verdict, state.code) == (Verdict.UNHEALTHY, ProbeCode.NAME_NOT_RESOLVED)


@generated(st.integers(1, 50))
def test_rate_limit_never_turns_a_healthy_integration_red(times: int) -> None:
    state = health(ProbeCode.CONNECTED, *[ProbeCode.RATE_LIMITED] * times)
    assert (state.verdict, state.code) == (Verdict.HEALTHY, ProbeCode.CONNECTED)


def test_rate_limit_neither_counts_nor_clears() -> None:
    timeout, limited = ProbeCode.UPSTREAM_TIMEOUT, ProbeCode.RATE_LIMITED
    assert health(ProbeCode.CONNECTED, timeout, limited, timeout).verdict is Verdict.HEALTHY
    assert health(ProbeCode.CONNECTED, timeout, limited, timeout, limited, timeout).verdict is Verdict.UNHEALTHY
    assert health(ProbeCode.UNAUTHORIZED, limited).verdict is Verdict.UNHEALTHY


def test_result_that_is_shared_twice_counts_once() -> None:
    result = probed(ProbeCode.UPSTREAM_ERROR)
    state = Health()
    for _ in range(5):
        state = after(state, result)
    assert state.consecutive_failures == 1


def test_success_clears_everything() -> None:
    state = health(ProbeCode.UNAUTHORIZED, ProbeCode.CONNECTED)
    assert (state.verdict, state.consecutive_failures) == (Verdict.HEALTHY, 0)


def test_warnings_stay_until_the_next_success() -> None:
    warning = ProbeWarning(WarningCode.MODEL_DEPRECATED, "spec.config.model", "It retires.", "Change it.")
    state = after(Health(), probed(ProbeCode.CONNECTED, warnings=(warning,)))
    assert after(state, probed(ProbeCode.UPSTREAM_ERROR)).warnings == (warning,)
    assert after(state, probed(ProbeCode.CONNECTED)).warnings == ()


@generated(st.lists(ANY, max_size=12))
def test_count_of_failures_stops_at_the_threshold(codes: list[ProbeCode]) -> None:
    assert 0 <= health(*codes).consecutive_failures <= TROUBLE_THRESHOLD


@generated(st.lists(ANY, min_size=1, max_size=8), st.lists(ANY, max_size=8))
def test_restart_goes_on_where_status_left_off(before: list[ProbeCode], later: list[ProbeCode]) -> None:
    lived = health(*before)
    status = {Verdict.HEALTHY: "True", Verdict.UNHEALTHY: "False", Verdict.UNKNOWN: "Unknown"}[lived.verdict]
    reborn = restored_health(status, str(lived.code), lived.message, lived.consecutive_failures)
    for code in later:
        lived, reborn = after(lived, probed(code)), after(reborn, probed(code))
        assert (lived.verdict, lived.code, lived.consecutive_failures) == (reborn.verdict, reborn.code, reborn.consecutive_failures)


def test_status_that_somebody_garbled_starts_anew() -> None:
    assert restored_health("Perhaps", "NoSuchReason", "", -4) == Health()
    assert restored_health("False", "UpstreamError", "It was.", 99).consecutive_failures == TROUBLE_THRESHOLD
