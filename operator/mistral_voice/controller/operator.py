"""The operator process: watches, the queue, the lease and the side port, put together and taken apart in order."""

import asyncio
import logging
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from mistral_voice.contract import names
from mistral_voice.controller.build.deployment import TEMPLATE_HASH_ANNOTATION
from mistral_voice.controller.calls import Calls
from mistral_voice.controller.children import Children
from mistral_voice.controller.gather import Gatherer
from mistral_voice.controller.health.checks import HealthChecks
from mistral_voice.controller.health.sharing import SharedProbes
from mistral_voice.controller.managed.side import ManagedSide
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
from mistral_voice.kube.events import EventRecorder
from mistral_voice.kube.lease import LeaderElector
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.observed import Marks, Reader
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
    calls: Calls
    watches: Watches
    stream: IntegrationStream
    recorder: EventRecorder
    elector: LeaderElector
    reconciler: Reconciler
    managed: ManagedSide | None

    @classmethod
    async def assembled(cls, settings: Settings, redactor: Redactor, access: Access, stack: AsyncExitStack) -> "Operator":
        """Put the parts together; what has to be closed goes onto the stack."""
        file, registry = settings.file, process_registry()
        metrics, series = OperatorMetrics(registry), IntegrationSeries()
        queue_metrics = QueueMetrics(metrics, registry)
        queue: WorkQueue[ObjectKey] = WorkQueue(workers=file.workers, observer=queue_metrics)
        store, memories, fields = IntegrationStore(), Memories(), FieldSets()
        calls = Calls(queue, store)
        client = await stack.enter_async_context(Client(access, connections=file.workers + 12, observe=metrics.count_request))
        elector = _elector(client, settings)
        writer = client.fenced(elector) if file.leader_election.enabled else client
        managed = None if file.managed_mode is None else ManagedSide.assembled(file.managed_mode, client, writer, calls, _now)
        watches = _watches(client, Reader(fields, MARKS), calls, file.watch_namespaces)
        stream = IntegrationStream(client, store, calls.for_integration, file.watch_namespaces)
        recorder = EventRecorder(writer, controller=names.FIELD_MANAGER, instance=settings.identity, observe=metrics.count_event)
        probes = await stack.enter_async_context(SharedProbes(max_concurrent=file.probe.max_concurrent, observe=metrics.count_probe))
        checks = HealthChecks(probes, queue.add, _now, random.random, redactor)
        stack.push_async_callback(checks.close)
        reconciler = Reconciler(
            client=writer,
            store=store,
            memories=memories,
            gatherer=Gatherer(
                client,
                watches,
                memories,
                file,
                _now,
                probes.digest,
                random.random,
                None if managed is None else managed.platform,
                None if managed is None else managed.usage.of,
            ),
            children=Children(writer, Applier(writer, fields, MARKS, notice=watches)),
            checks=checks,
            rollouts=Rollouts(file.rollout_pace, queue.add, metrics),
            recorder=recorder,
            series=series,
            now=_now,
        )
        operator = cls(settings, access, metrics, queue_metrics, series, calls, watches, stream, recorder, elector, reconciler, managed)
        await operator._tell_of_itself(registry, stack)
        return operator

    async def _tell_of_itself(self, registry: CollectorRegistry, stack: AsyncExitStack) -> None:
        self.metrics.max_workers.set(self.settings.file.workers)
        app = health_app(registry, self.not_ready_because, further_series=self.further_series)
        port = await stack.enter_async_context(serving(app, self.settings.host, self.settings.port))
        _log.info("listening", extra={"metrics_port": port})
        await stack.enter_async_context(observing_loop_lag(loop_lag_histogram("mistral_voice_operator", registry)))

    def not_ready_because(self) -> str | None:
        """Return what is missing before this replica can lead, or None."""
        if not self.stream.synced.is_set():
            return self.stream.problem
        waiting = next((watch for watch in self._all_watches() if not watch.synced.is_set()), None)
        if waiting is not None:
            return waiting.problem or f"The objects of kind {waiting.resource.kind} have not been listed yet."
        return None

    def _all_watches(self) -> Iterator[Watch]:
        yield from self.watches
        if self.managed is not None:
            yield from self.managed.watches

    def further_series(self) -> bytes:
        """Refresh what is only measured when asked, and return the integrations' series."""
        queue = self.calls.queue
        self.metrics.active_workers.set(queue.active_workers)
        self.metrics.leader.set(int(self.leads))
        self.queue_metrics.depth.set(len(queue))
        self.queue_metrics.unfinished.set(queue.unfinished_work_seconds())
        self.queue_metrics.longest.set(queue.longest_running_seconds())
        self.metrics.watch_age.labels(names.KIND).set(self.stream.age_seconds())
        for watch in self._all_watches():
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
            if self.managed is not None:
                background.append(group.create_task(self.managed.run(), name="watch the platform's side"))
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
            self.calls.queue.stop()  # Visits under way end, then the lease is given back.
            if self.managed is not None:
                self.managed.queue.stop()
            await leading
        finally:
            stopping.cancel()
            leading.cancel()
            await asyncio.gather(leading, stopping, return_exceptions=True)

    async def _lead(self) -> None:
        await self.stream.synced.wait()
        await self.watches.synced()
        if self.managed is not None:
            await self.managed.watches.synced()
        queue, store = self.calls.queue, self.calls.store
        _log.info("This replica leads.", extra={"integrations": len(store)})
        self.calls.leading.set()
        self.reconciler.rollouts.resume(key for key in store if store.rolls_out(key))
        for key in store:
            queue.add(key, low=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.run(self.reconciler.reconcile), name="visit integrations")
            if self.managed is not None:
                group.create_task(self.managed.lead(), name="visit plans")


def _elector(client: Client, settings: Settings) -> LeaderElector:
    return LeaderElector(
        client,
        namespace=settings.namespace,
        name=settings.file.leader_election.lease_name,
        # A container that starts again in the same pod is another process: it waits for the lease as everybody does.
        identity=f"{settings.identity}_{uuid.uuid4().hex[:8]}",
        timing=settings.file.leader_election.timing(),
    )


def _watches(client: Client, reader: Reader, calls: Calls, namespaces: Sequence[str]) -> Watches:
    selector = f"{names.MANAGED_BY_LABEL}={names.FIELD_MANAGER}"
    return Watches(
        Watch(client, kind, reader, calls.for_owner, label_selector=selector, namespaces=namespaces or None) for kind in CHILD_KINDS
    )
