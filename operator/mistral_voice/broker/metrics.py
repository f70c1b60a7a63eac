"""The broker's metrics: by namespace, plan, model and reason, never by session, caller or key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from mistral_voice.broker.session import BrokerSession
from mistral_voice.contract.lease import RefusalReason

PREFIX: Final = "mistral_voice_broker_"
MODE: Final = "managed"


class BrokerMetrics:
    """What a broker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sessions = Gauge(f"{PREFIX}sessions", "Sessions that this broker holds.", ("namespace", "plan", "mode"), registry=registry)
        self._refused = Counter(
            f"{PREFIX}sessions_refused", "Sessions refused, by reason.", ("namespace", "plan", "mode", "model", "reason"), registry=registry
        )
        self._calls = Counter(f"{PREFIX}calls", "Calls to Mistral, by what came of them.", ("plan", "model", "outcome"), registry=registry)
        self._turned_away = Counter(
            f"{PREFIX}calls_refused", "Calls that never reached Mistral, by reason.", ("reason",), registry=registry
        )
        self._used = Counter(
            f"{PREFIX}used",
            "What sessions have used of a model, by unit; counted at their end.",
            ("plan", "model", "unit"),
            registry=registry,
        )
        self._estimated = Counter(
            f"{PREFIX}estimated",
            "The part of it that Mistral did not tell and that was estimated upward.",
            ("plan", "unit"),
            registry=registry,
        )
        self._callers = Counter(f"{PREFIX}lines_refused", "Lines refused before any session, by reason.", ("reason",), registry=registry)
        self.draining = Gauge(f"{PREFIX}draining", "1 while the broker drains.", registry=registry)

    @contextmanager
    def holding(self, session: BrokerSession) -> Iterator[None]:
        """Count a session while the context lasts."""
        series = self._sessions.labels(session.entitlement.namespace, session.entitlement.plan, MODE)
        series.inc()
        try:
            yield
        finally:
            series.dec()

    def refused(self, namespace: str, plan: str, model: str, reason: RefusalReason) -> None:
        """Count a session that was refused. `model` is one of the plan's for chat, or empty."""
        self._refused.labels(namespace, plan, MODE, model, reason.value).inc()

    def line_refused(self, reason: str) -> None:
        """Count a line that was refused before anything was asked on it."""
        self._callers.labels(reason).inc()

    def called(self, plan: str, model: str, outcome: str) -> None:
        """Count a call; `outcome` is `ok`, a status, or `unreachable`."""
        self._calls.labels(plan, model, outcome).inc()

    def turned_away(self, reason: str) -> None:
        """Count a call that was refused here."""
        self._turned_away.labels(reason).inc()

    def used(self, session: BrokerSession) -> None:
        """Count what a session has used, at its end."""
        plan = session.entitlement.plan
        for amount in session.meter.usage(0).amounts:
            self._used.labels(plan, amount.model, amount.unit.value).inc(amount.amount)
        for unit, estimated in session.meter.estimated.items():
            self._estimated.labels(plan, unit.value).inc(estimated)
