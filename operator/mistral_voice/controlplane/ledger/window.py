"""The periods in which use is counted, in UTC."""

from datetime import UTC, datetime, timedelta

from mistral_voice.contract.v1alpha1.plan import Period, PlanSpecification
from mistral_voice.controlplane.ledger.records import Balance, Scope, Window


def moment(now: int) -> datetime:
    """Return milliseconds since 1970 as an instant."""
    return datetime.fromtimestamp(now / 1000, UTC)


def window_of(plan: PlanSpecification, now: int) -> Window:
    """Return the window of a plan that an instant lies in."""
    day = moment(now).date().isoformat()
    return Window(day if plan.period is Period.DAY else day[:7], plan.price_book.currency)


def seconds_left(period: Period, now: int) -> int:
    """Return how long it is until the next period begins, in whole seconds, at least 1."""
    instant = moment(now)
    today = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    following = today + timedelta(days=1) if period is Period.DAY else (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return max(1, -int((instant - following).total_seconds() // 1))


def present(balance: Balance | None, scope: Scope, window: Window) -> tuple[Balance, Balance | None]:
    """Return the balance that counts, and the one that it takes the place of, which is history.

    A clock that is behind, at the turn of a period, doesn't turn it back: the later window stays.
    """
    if balance is None:
        return Balance(scope, window), None
    if balance.window == window or _is_ahead(balance.window, window):
        return balance, None
    return Balance(scope, window), balance


def _is_ahead(known: Window, window: Window) -> bool:
    return known.currency == window.currency and len(known.period) == len(window.period) and known.period > window.period
