"""When an integration is checked next. Pure: chance comes from outside, as a function that returns a number from 0 to 1."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.thresholds import Health, Verdict

SPREAD: Final = 0.2
"""Intervals vary by this share, so that integrations that began together don't ask together for ever."""
FIRST_RETRY_SECONDS: Final = 5.0
"""A failure is looked at again soon, then less and less often, up to the interval."""
UNHEALTHY_WITHIN_SECONDS: Final = 30.0
"""After a restart, what was not healthy is looked at within this time."""

Jitter = Callable[[], float]


def next_check(health: Health, interval_seconds: float, checked_at: datetime, jitter: Jitter) -> datetime:
    """Return when to check again, after the check at `checked_at` that led to `health`; where another's result was shared, that was its."""
    return checked_at + timedelta(seconds=_delay(health, interval_seconds) * (1 - SPREAD + 2 * SPREAD * jitter()))


def first_check_after_restart(health: Health, interval_seconds: float, now: datetime, jitter: Jitter) -> datetime:
    """Return when to check what an earlier process left in status: the healthy spread over a whole interval, the rest soon."""
    longest = interval_seconds if health.verdict is Verdict.HEALTHY else min(interval_seconds, UNHEALTHY_WITHIN_SECONDS)
    return now + timedelta(seconds=longest * jitter())


def shared_since(health: Health, due: datetime | None, interval_seconds: float, now: datetime) -> datetime:
    """Return from when on a result of the same key and settings may stand for an integration's own check, which fell due at `due`.

    What was well, or is checked for the first time (no `due`), takes a result that is as young as chance makes intervals differ: a thousand
    integrations with one key ask a few times an interval. What was not well looks for itself.
    """
    if due is not None and (health.verdict is not Verdict.HEALTHY or health.failures_in_a_row):
        return due
    return (due or now) - timedelta(seconds=SPREAD * interval_seconds)


def _delay(health: Health, interval_seconds: float) -> float:
    last = health.last
    if last is None or last.code is ProbeCode.CONNECTED:
        return interval_seconds
    # What the upstream asks for holds also where chance shortens the delay.
    asked_for = (last.retry_after_seconds or 0.0) / (1 - SPREAD)
    if last.code is ProbeCode.RATE_LIMITED and health.verdict is not Verdict.UNKNOWN:
        return max(interval_seconds, asked_for)  # It doesn't count, so there is nothing to confirm.
    doublings = min(max(health.failures_in_a_row - 1, 0), 20)
    return max(min(interval_seconds, FIRST_RETRY_SECONDS * 2.0**doublings), asked_for)
