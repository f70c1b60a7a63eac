"""What the operator measures: its own work in the shape that controller-runtime made usual, and at most five series an integration.

Ten thousand integrations make fifty thousand series: they are kept as finished lines and joined at a scrape, not as metric objects.
"""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mistral_voice.controller.health.result import ProbeResult
from mistral_voice.kube.events import EventOutcome

DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PREFIX: Final = "mistral_voice_operator"


class OperatorMetrics:
    """The operator's own work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reconcile = Counter(
            f"{_PREFIX}_reconcile", "Reconciliations by result: success, requeue, error.", ["result"], registry=registry
        )
        self.reconcile_errors = Counter(f"{_PREFIX}_reconcile_errors", "Reconciliations that failed.", registry=registry)
        self.reconcile_duration = Histogram(
            f"{_PREFIX}_reconcile_duration_seconds", "How long a reconciliation took.", buckets=DURATION_BUCKETS, registry=registry
        )
        self.active_workers = Gauge(f"{_PREFIX}_active_workers", "Workers that reconcile now.", registry=registry)
        self.max_workers = Gauge(f"{_PREFIX}_max_workers", "Workers that may reconcile at the same time.", registry=registry)
        self.api_requests = Counter(f"{_PREFIX}_api_requests", "Requests to the API server.", ["code", "verb"], registry=registry)
        self.leader = Gauge(f"{_PREFIX}_leader", "1 on the replica that leads, else 0.", registry=registry)
        self.watch_age = Gauge(f"{_PREFIX}_watch_age_seconds", "Time since a watch last heard anything.", ["kind"], registry=registry)
        self.rollouts_pending = Gauge(
            f"{_PREFIX}_rollouts_pending", "Gateways whose roll-out waits for its turn after an upgrade of the operator.", registry=registry
        )
        self.probes = Counter(f"{_PREFIX}_probes", "Health checks by result, shared ones counted once.", ["result"], registry=registry)
        self.events_dropped = Counter(f"{_PREFIX}_events_dropped", "Kubernetes Events that were not written.", registry=registry)

    def count_request(self, verb: str, _resource: str, code: str, _seconds: float) -> None:
        """Count a request to the API server."""
        self.api_requests.labels(code, verb).inc()

    def count_event(self, outcome: EventOutcome) -> None:
        """Count a Kubernetes Event that was not written."""
        if outcome is not EventOutcome.WRITTEN:
            self.events_dropped.inc()

    def count_probe(self, result: ProbeResult) -> None:
        """Count a health check that was made."""
        self.probes.labels(result.code.value).inc()


class QueueMetrics:
    """The work queue, as an observer of it."""

    def __init__(self, metrics: OperatorMetrics, registry: CollectorRegistry) -> None:
        prefix = f"{_PREFIX}_workqueue"
        self._metrics = metrics
        self._adds = Counter(f"{prefix}_adds", "Keys added to the queue.", registry=registry)
        self._retries = Counter(f"{prefix}_retries", "Keys added again after an error.", registry=registry)
        self._waited = Histogram(f"{prefix}_queue_duration_seconds", "How long keys waited.", buckets=DURATION_BUCKETS, registry=registry)
        self._worked = Histogram(
            f"{prefix}_work_duration_seconds", "How long keys were worked on.", buckets=DURATION_BUCKETS, registry=registry
        )
        self.depth = Gauge(f"{prefix}_depth", "Keys that wait.", registry=registry)
        self.unfinished = Gauge(
            f"{prefix}_unfinished_work_seconds", "Seconds of work that is under way, summed over workers.", registry=registry
        )
        self.longest = Gauge(
            f"{prefix}_longest_running_processor_seconds", "How long the longest work under way has run.", registry=registry
        )

    def added(self) -> None:
        """Count a key that was added."""
        self._adds.inc()

    def retried(self) -> None:
        """Count a key that comes again after an error."""
        self._retries.inc()

    def taken(self, waited_seconds: float) -> None:
        """Note a key that a worker took."""
        self._waited.observe(waited_seconds)

    def finished(self, worked_seconds: float, outcome: str) -> None:
        """Note a reconciliation that ended."""
        self._worked.observe(worked_seconds)
        self._metrics.reconcile_duration.observe(worked_seconds)
        self._metrics.reconcile.labels(outcome).inc()
        if outcome == "error":
            self._metrics.reconcile_errors.inc()


@dataclass(frozen=True)
class IntegrationFigures:
    """What is exported of one integration.

    `ready_reason` says why it is not ready, `probe_reason` why its check failed. `plan` is empty with mode byok. Times are Unix seconds.
    """

    namespace: str
    integration: str
    mode: str
    model: str
    ready: bool
    ready_reason: str = ""
    probe_success: bool | None = None
    probe_reason: str = ""
    probe_duration_seconds: float | None = None
    probe_last_success_timestamp_seconds: float | None = None
    plan: str = ""


_FAMILIES: Final = (
    ("mistral_voice_integration_info", "Integrations, by mode, plan and model."),
    ("mistral_voice_integration_ready", "1 if the integration is ready, else 0 with its reason."),
    ("mistral_voice_probe_success", "1 if the last health check succeeded, else 0 with its cause."),
    ("mistral_voice_probe_duration_seconds", "How long the last health check took."),
    ("mistral_voice_probe_last_success_timestamp_seconds", "When a health check last succeeded, as Unix time."),
)


class IntegrationSeries:
    """The series of all integrations as lines of the Prometheus text format, replaced one integration at a time."""

    def __init__(self) -> None:
        self._lines: tuple[dict[str, str], ...] = tuple({} for _ in _FAMILIES)

    def set(self, figures: IntegrationFigures) -> None:
        """Replace the series of one integration."""
        key = f"{figures.namespace}/{figures.integration}"
        labels = f'namespace="{_escaped(figures.namespace)}",integration="{_escaped(figures.integration)}",mode="{_escaped(figures.mode)}"'
        success = None if figures.probe_success is None else int(figures.probe_success)
        values: tuple[tuple[str, float | None], ...] = (
            (f'{labels},plan="{_escaped(figures.plan)}",model="{_escaped(figures.model)}"', 1),
            (f'{labels},reason="{_escaped(figures.ready_reason)}"', int(figures.ready)),
            (f'{labels},reason="{_escaped(figures.probe_reason)}"', success),
            (labels, figures.probe_duration_seconds),
            (labels, figures.probe_last_success_timestamp_seconds),
        )
        for (family, _), lines, (label_text, value) in zip(_FAMILIES, self._lines, values, strict=True):
            if value is None:
                lines.pop(key, None)
            else:
                lines[key] = f"{family}{{{label_text}}} {value}\n"

    def remove(self, namespace: str, integration: str) -> None:
        """Drop the series of an integration that is gone."""
        for lines in self._lines:
            lines.pop(f"{namespace}/{integration}", None)

    def exposition(self) -> bytes:
        """Return all series in the Prometheus text format."""
        parts: list[str] = []
        for (family, text), lines in zip(_FAMILIES, self._lines, strict=True):
            if lines:
                parts.append(f"# HELP {family} {text}\n# TYPE {family} gauge\n")
                parts.extend(lines.values())
        return "".join(parts).encode()


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
