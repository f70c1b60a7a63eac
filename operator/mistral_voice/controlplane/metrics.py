"""What the control plane counts for Prometheus.

Labels: plan, mode, model, unit, reason, and names of states; never a session, a tenant's user or a key.
"""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mistral_voice.contract.lease import LeaseGrant, LeaseRequest, Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.plan import MICRO_UNITS
from mistral_voice.contract.v1alpha1.pool import KeyState
from mistral_voice.controlplane.ledger.records import Entry

PREFIX = "mistral_voice_control_plane_"
MODE = "managed"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class ControlPlaneMetrics:
    """The process's own figures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            f"{PREFIX}answers", "Answers to brokers, by what was asked and why it was refused.", ["asked", "reason"], registry=registry
        )
        self._refusals = Counter(
            f"{PREFIX}refusals",
            "Sessions that were refused, by plan and chat model.",
            ["plan", "mode", "model", "reason"],
            registry=registry,
        )
        use = ["plan", "mode", "model"]
        self._used = Counter(f"{PREFIX}used", "What was charged of a model, in its unit.", [*use, "unit"], registry=registry)
        self._spent = Counter(f"{PREFIX}spent", "What that cost, in the plan's currency.", [*use, "currency"], registry=registry)
        self.admission_seconds = Histogram(f"{PREFIX}admission_seconds", "Time to decide on a lease.", buckets=_BUCKETS, registry=registry)
        self.unavailable = Counter(f"{PREFIX}ledger_unavailable", "Requests that the database could not answer.", registry=registry)
        self.expired = Counter(f"{PREFIX}expired_leases", "Leases that ran out and were settled by estimate.", registry=registry)
        self.waiting = Gauge(f"{PREFIX}ledger_waiting", "Requests that wait for a transaction.", registry=registry)
        self.backups = Counter(f"{PREFIX}backups", "Scheduled backups of the database, by outcome.", ["outcome"], registry=registry)
        self.backed_up = Gauge(f"{PREFIX}last_backup_timestamp_seconds", "When the youngest backup was made.", registry=registry)
        self.active_keys = Gauge(f"{PREFIX}active_keys", "Keys of a pool that take new sessions.", ["pool"], registry=registry)
        self._keys = Gauge(f"{PREFIX}keys", "Keys of a pool, by state.", ["pool", "state"], registry=registry)

    def pools_are(self, pools: Mapping[str, Sequence[KeyState]]) -> None:
        """Tell of each pool in what states its keys are; those of other pools are told no more."""
        for gauge in (self.active_keys, self._keys):
            gauge.clear()
        for pool, states in pools.items():
            self.active_keys.labels(pool).set(states.count(KeyState.ACTIVE))
            for state in KeyState:
                self._keys.labels(pool, state.value).set(states.count(state))

    def answered(self, asked: str, answer: LeaseGrant | Refusal | None, request: LeaseRequest | None = None) -> None:
        """Count an answer, with the request if a session asked to begin or to move.

        A plan that nobody knows is a name that anybody may have made up, and becomes no label; nor does a model that its
        plan doesn't offer.
        """
        reason = answer.reason.value if isinstance(answer, Refusal) else ""
        self._answers.labels(asked, reason).inc()
        if request is not None and isinstance(answer, Refusal) and answer.reason is not RefusalReason.PLAN_NOT_FOUND:
            is_offered = request.model in request.models and answer.reason is not RefusalReason.MODEL_NOT_IN_PLAN
            self._refusals.labels(request.plan, MODE, request.model if is_offered else "", reason).inc()

    def charged(self, entries: Sequence[Entry]) -> None:
        """Count what this replica charged by reports. Estimates, and what is taken back of them, name no model: balances have them."""
        for entry in entries:
            if entry.unit is not None:
                self._used.labels(entry.tenant.plan, MODE, entry.model, entry.unit.value).inc(entry.amount)
                self._spent.labels(entry.tenant.plan, MODE, entry.model, entry.window.currency).inc(entry.micro_units / MICRO_UNITS)
