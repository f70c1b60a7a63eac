"""The operator process: watches, the queue, the lease and the side port, put together and taken apart in order."""

import asyncio
import logging
import random
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from mistral_voice.contract import names
from mistral_voice.controller.build.deployment import TEMPLATE_HASH_ANNOTATION
from mistral_voice.controller.children import Children
from mistral_voice.controller.gather import Gatherer
from mistral_voice.controller.health.checks import HealthChecks
from mistral_voice.controller.health.result import ProbeResult
from mistral_voice.controller.health.sharing import SharedProbes
from mistral_voice.controller.memory import Memories
from mistral_voice.controller.metrics import IntegrationSeries, OperatorMetrics, QueueMetrics
from mistral_voice.controller.reconcile import Reconciler
from mistral_voice.controller.rollouts import Rollouts
from mistral_voice.controller.settings import Settings
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.controller.streams import IntegrationStream
from mistral_voice.kube.access import Access, load_access
from mistral_voice.kube.apply import Applier
from mistral_voice.kube.client import Client
from mistral_voice.kube.events import EventOutcome, EventRecorder
from mistral_voice.kube.lease import LeaderElector
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.observed import Marks, Observed, Reader
from mistral_voice.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from mistral_voice.kube.watch import Watch, Watches
from mistral_voice.kube.workqueue import WorkQueue
from mistral_voice.runtime.health import health_app, serving
from mistral_voice.runtime.metrics import loop_lag_histogram, observing_loop_lag, process_registry
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.shutdown import stop_signal, take_stop_signals

CHILD_KINDS = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    INGRESS,
    HTTP_ROUTE,
)
"""The kinds of children that are watched: all but the token Secret, since Secrets are never listed."""

MARKS = Marks(
    names.FIELD_MANAGER,
    names.DESIRED_HASH_ANNOTATION,
    names.INTEGRATION_UID_LABEL,
    names.INTEGRATION_LABEL,
    template_hash_annotation=TEMPLATE_HASH_ANNOTATION,
)

_log = logging.getLogger(__name__)


async def operate(settings: Settings, redactor: Redactor) -> None:
    """Run the operator until SIGTERM. Raises NoAccess if there is no way to a cluster, LeadershipLost when another replica took over."""
    access = await load_access(settings.kubeconfig)
    with stop_signal() as stopped:
        async with AsyncExitStack() as stack:
            operator = await Operator.assembled(settings, redactor, access, stack)
            await operator.run(stopped)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Operator:
    """The parts of the process that live as long as it does."""

    settings: Settings
    access: Access
    metrics: OperatorMetrics
    queue_metrics: QueueMetrics
    series: IntegrationSeries
    store: IntegrationStore
    queue: WorkQueue[ObjectKey]
    watches: Watches
    stream: IntegrationStream
    recorder: EventRecorder
    elector: LeaderElector
    reconciler: Reconciler
    checks: HealthChecks
    leading: asyncio.Event

    @classmethod
    async def assembled(cls, settings: Settings, redactor: Redactor, access: Access, stack: AsyncExitStack) -> "Operator":
        """Put the parts together; what has to be closed goes onto the stack."""
        file, registry = settings.file, process_registry()
        metrics, series = OperatorMetrics(registry), IntegrationSeries()
        queue_metrics = QueueMetrics(metrics, registry)
        queue: WorkQueue[ObjectKey] = WorkQueue(workers=file.workers, observer=queue_metrics)

        def count_request(verb: str, resource: str, code: str, seconds: float) -> None:  # noqa: ARG001 - the observer's shape
            metrics.api_requests.labels(code, verb).inc()

        def count_event(outcome: EventOutcome) -> None:
            if outcome is not EventOutcome.WRITTEN:
                metrics.events_dropped.inc()

        def count_probe(result: ProbeResult) -> None:
            metrics.probes.labels(result.code.value).inc()

        client = await stack.enter_async_context(Client(access, connections=file.workers + 12, observe=count_request))
        elector = LeaderElector(
            client,
            namespace=settings.namespace,
            name=file.leader_election.lease_name,
            # A container that starts again in the same pod is another process: it waits for the lease as everybody does.
            identity=f"{settings.identity}_{uuid.uuid4().hex[:8]}",
            timing=file.leader_election.timing(),
        )
        writer = client.fenced(elector) if file.leader_election.enabled else client
        store, memories, fields = IntegrationStore(), Memories(), FieldSets()
        leading = asyncio.Event()

        def enqueue(key: ObjectKey, *, low: bool = False) -> None:
            # A follower only keeps its records current; when it comes to lead, it visits all.
            if leading.is_set():
                queue.add(key, low=low)

        def child_changed(child: Observed, deleted: bool) -> None:  # noqa: ARG001 - the callback's shape
            key = store.concerned_by(child)
            if key is not None:
                enqueue(key)

        reader, selector = Reader(fields, MARKS), f"{names.MANAGED_BY_LABEL}={names.FIELD_MANAGER}"
        watches = Watches(
            Watch(client, kind, reader, child_changed, label_selector=selector, namespaces=file.watch_namespaces or None)
            for kind in CHILD_KINDS
        )
        stream = IntegrationStream(client, store, enqueue, file.watch_namespaces)
        recorder = EventRecorder(writer, controller=names.FIELD_MANAGER, instance=settings.identity, observe=count_event)
        probes = await stack.enter_async_context(SharedProbes(max_concurrent=file.probe.max_concurrent, observe=count_probe))
        checks = HealthChecks(probes, queue.add, _now, random.random, redactor)
        stack.push_async_callback(checks.close)
        reconciler = Reconciler(
            client=writer,
            store=store,
            memories=memories,
            gatherer=Gatherer(client, watches, memories, file, _now, probes.digest, random.random),
            children=Children(writer, Applier(writer, fields, MARKS, notice=watches)),
            checks=checks,
            rollouts=Rollouts(file.rollout_pace, queue.add, metrics),
            recorder=recorder,
            series=series,
            now=_now,
        )
        operator = cls(
            settings, access, metrics, queue_metrics, series, store, queue, watches, stream, recorder, elector, reconciler, checks, leading
        )
        metrics.max_workers.set(file.workers)
        app = health_app(registry, operator.not_ready_because, further_series=operator.further_series)
        await stack.enter_async_context(serving(app, settings.host, settings.port))
        await stack.enter_async_context(observing_loop_lag(loop_lag_histogram("mistral_voice_operator", registry)))
        return operator

    def not_ready_because(self) -> str | None:
        """Return what is missing before this replica can lead, or None."""
        if not self.stream.synced.is_set():
            return self.stream.problem
        waiting = next((watch for watch in self.watches if not watch.synced.is_set()), None)
        if waiting is not None:
            return waiting.problem or f"The children of kind {waiting.resource.kind} have not been listed yet."
        return None

    def further_series(self) -> bytes:
        """Refresh what is only measured when asked, and return the integrations' series."""
        self.metrics.active_workers.set(self.queue.active_workers)
        self.metrics.leader.set(int(self.leads))
        self.queue_metrics.depth.set(len(self.queue))
        self.queue_metrics.unfinished.set(self.queue.unfinished_work_seconds())
        self.queue_metrics.longest.set(self.queue.longest_running_seconds())
        self.metrics.watch_age.labels(names.KIND).set(self.stream.age_seconds())
        for watch in self.watches:
            self.metrics.watch_age.labels(watch.resource.kind).set(watch.age_seconds())
        return self.series.exposition() if self.leads else b""

    @property
    def leads(self) -> bool:
        """Tell whether this replica leads."""
        return self.elector.is_leader() if self.settings.file.leader_election.enabled else True

    async def run(self, stopped: asyncio.Event) -> None:
        """Watch, and reconcile while leading, until `stopped` is set."""
        watching_ends = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self.watches.run(), name="watch children"),
                group.create_task(self.recorder.run(), name="write events"),
            ]
            group.create_task(self.stream.run(self.access, watching_ends, lambda: take_stop_signals(stopped)), name="watch integrations")
            try:
                await self._reconcile_until(stopped)
            finally:
                watching_ends.set()
                for task in background:
                    task.cancel()

    async def _reconcile_until(self, stopped: asyncio.Event) -> None:
        elected = self.settings.file.leader_election.enabled
        leading = asyncio.create_task(self.elector.run(self._lead) if elected else self._lead(), name="lead or follow")
        stopping = asyncio.create_task(stopped.wait(), name="wait for SIGTERM")
        try:
            await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not leading.done() and (not self.leads or self.not_ready_because() is not None):
                return  # No visit has begun that should end first.
            self.queue.stop()  # Visits under way end, then the lease is given back.
            await leading
        finally:
            stopping.cancel()
            leading.cancel()
            await asyncio.gather(leading, stopping, return_exceptions=True)

    async def _lead(self) -> None:
        await self.stream.synced.wait()
        await self.watches.synced()
        _log.info("This replica leads.", extra={"integrations": len(self.store)})
        self.leading.set()
        self.reconciler.rollouts.resume(key for key in self.store if self.store.rolls_out(key))
        for key in self.store:
            self.queue.add(key, low=True)
        await self.queue.run(self.reconciler.reconcile)
