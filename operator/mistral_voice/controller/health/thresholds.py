"""How single health checks become the state of an integration: what counts at once, what only when it goes on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from mistral_voice.controller.health.result import ProbeCode, ProbeResult, ProbeWarning

TROUBLE_THRESHOLD: Final = 3
"""Trouble on the way to Mistral counts when it came this often in a row."""


class Verdict(StrEnum):
    """Whether the integration is held to be healthy."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """The state that follows from all checks of one key with one set of settings.

    `code` and `message` explain the verdict, not the last check: a healthy integration whose last check met a 429 stays `Connected`.
    `consecutive_failures` stops at the threshold; `failures_in_a_row` counts on, 429 included, for the schedule. `last` is None until this
    process has checked.
    """

    verdict: Verdict = Verdict.UNKNOWN
    code: ProbeCode | None = None
    message: str = ""
    consecutive_failures: int = 0
    warnings: tuple[ProbeWarning, ...] = ()
    last: ProbeResult | None = None
    failures_in_a_row: int = 0
    last_success_at: datetime | None = None
    key_accepted_at: datetime | None = None


def after(health: Health, result: ProbeResult, threshold: int = TROUBLE_THRESHOLD) -> Health:
    """Return the state after one more check.

    A clear answer counts at once. Trouble counts after `threshold` in a row. A 429 proves that Mistral answers and says nothing about the
    integration: it neither counts nor clears. The same result, shared again, counts once.
    """
    if result is health.last:
        return health
    key_accepted_at = result.checked_at if result.key_accepted else health.key_accepted_at
    seen = replace(health, last=result, key_accepted_at=key_accepted_at, failures_in_a_row=health.failures_in_a_row + 1)
    if result.code is ProbeCode.CONNECTED:
        return replace(
            seen,
            verdict=Verdict.HEALTHY,
            code=result.code,
            message=result.message,
            consecutive_failures=0,
            failures_in_a_row=0,
            warnings=result.warnings,
            last_success_at=result.checked_at,
        )
    if result.code is ProbeCode.RATE_LIMITED:
        return seen if health.verdict is not Verdict.UNKNOWN else replace(seen, code=result.code, message=result.message)
    failures = min(health.consecutive_failures + 1, threshold)
    if result.code.definite or failures >= threshold:
        return replace(seen, verdict=Verdict.UNHEALTHY, code=result.code, message=result.message, consecutive_failures=failures)
    if health.verdict is Verdict.UNKNOWN:
        return replace(seen, code=result.code, message=result.message, consecutive_failures=failures)
    return replace(seen, consecutive_failures=failures)


_VERDICTS: Final[Mapping[str, Verdict]] = {"True": Verdict.HEALTHY, "False": Verdict.UNHEALTHY, "Unknown": Verdict.UNKNOWN}


def restored_health(condition_status: str, reason: str, message: str, consecutive_failures: int) -> Health:
    """Return the state that an earlier process left in status: its Healthy condition and the count of failures."""
    try:
        code = ProbeCode(reason)
    except ValueError:
        return Health()
    failures = max(0, min(consecutive_failures, TROUBLE_THRESHOLD))
    return Health(_VERDICTS.get(condition_status, Verdict.UNKNOWN), code, message, failures)
