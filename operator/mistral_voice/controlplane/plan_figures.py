"""What plans' tenants use, as figures for Prometheus: the database's, and so the same in each replica."""

import asyncio
import logging
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy.exc import SQLAlchemyError

from mistral_voice.contract.v1alpha1.plan import MICRO_UNITS, PlanSpecification
from mistral_voice.controlplane.api.standings import plan_usage
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.metrics import MODE, PREFIX
from mistral_voice.controlplane.store.database import Database

EVERY_SECONDS: Final = 15.0
_LABELS: Final = ("plan", "mode")

_log: Final = logging.getLogger(__name__)


class PlanFigures:
    """Reads them from time to time."""

    def __init__(self, database: Database, catalogue: Catalogue, registry: CollectorRegistry) -> None:
        self._database = database
        self._catalogue = catalogue
        self._sessions = Gauge(f"{PREFIX}plan_sessions", "Sessions that run now.", _LABELS, registry=registry)
        self._seconds = Gauge(f"{PREFIX}plan_used_seconds", "Session seconds of the plan's present period.", _LABELS, registry=registry)
        spent = "Money spent in the plan's present period, in its currency."
        self._spent = Gauge(f"{PREFIX}plan_spent", spent, (*_LABELS, "currency"), registry=registry)
        limits = "The plan's limit for all namespaces together, of"
        self._most_sessions = Gauge(f"{PREFIX}plan_sessions_limit", f"{limits} sessions.", _LABELS, registry=registry)
        self._most_seconds = Gauge(f"{PREFIX}plan_used_seconds_limit", f"{limits} a period's seconds.", _LABELS, registry=registry)
        self._most_spent = Gauge(f"{PREFIX}plan_spent_limit", f"{limits} a period's money.", (*_LABELS, "currency"), registry=registry)

    async def run(self) -> None:
        """Keep on until cancelled; a database that is away leaves the last figures."""
        while True:
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError) as error:
                _log.info("The plans' figures can't be read: %s", str(getattr(error, "orig", None) or error).partition("\n")[0])
            await asyncio.sleep(EVERY_SECONDS)

    async def refresh(self) -> None:
        """Read them once. Raises SQLAlchemyError or OSError."""
        present = {name: plan for name, plan in self._catalogue.plans.items() if not plan.deleted}
        async with self._database.reading() as connection:
            now = await self._database.now(connection)
            found = [await plan_usage(connection, name, plan, now) for name, plan in present.items()]
        for gauge in (self._sessions, self._seconds, self._spent, self._most_sessions, self._most_seconds, self._most_spent):
            gauge.clear()
        for name, plan in present.items():
            self._tell_limits(name, plan.spec)
        for usage in found:
            self._sessions.labels(usage.plan, MODE).set(usage.total.held.sessions)
            self._seconds.labels(usage.plan, MODE).set(usage.total.used.session_ms / 1000)
            self._spent.labels(usage.plan, MODE, usage.currency).set(usage.total.used.micro_units / MICRO_UNITS)

    def _tell_limits(self, name: str, plan: PlanSpecification) -> None:
        """Tell the limits that the plan's `total` sets; what is left out is not limited, and has no series."""
        limits = plan.total
        if limits is None:
            return
        if limits.concurrent_sessions is not None:
            self._most_sessions.labels(name, MODE).set(limits.concurrent_sessions)
        if limits.session_seconds_per_period is not None:
            self._most_seconds.labels(name, MODE).set(limits.session_seconds_per_period)
        if limits.spend_micro_units is not None:
            self._most_spent.labels(name, MODE, plan.price_book.currency).set(limits.spend_micro_units / MICRO_UNITS)
