"""One visit to one integration: gather, check, build, apply, observe, write status."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mistral_voice.contract import names
from mistral_voice.controller.build import build
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.children import Children
from mistral_voice.controller.events import events_for
from mistral_voice.controller.figures import figures_of
from mistral_voice.controller.gather import Gatherer, Visit
from mistral_voice.controller.health.checks import HealthChecks
from mistral_voice.controller.input import Input
from mistral_voice.controller.memory import Memories
from mistral_voice.controller.metrics import IntegrationSeries
from mistral_voice.controller.next_visit import SHORTEST_WAIT_SECONDS, next_visit
from mistral_voice.controller.rollouts import Rollouts
from mistral_voice.controller.status import derive, same_meaning
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import Conflict, NotFound
from mistral_voice.kube.events import EventRecorder, ObjectReference
from mistral_voice.kube.objects import KubeObject, ObjectKey


@dataclass(frozen=True)
class Reconciler:
    """Visits integrations, any number at a time, each by one visit at a time."""

    client: Client
    store: IntegrationStore
    memories: Memories
    gatherer: Gatherer
    children: Children
    checks: HealthChecks
    rollouts: Rollouts
    recorder: EventRecorder
    series: IntegrationSeries
    now: Callable[[], datetime]

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Bring one integration to what its spec says and its status to what is so. Return in how many seconds to come again."""
        stored = self.store.get(key)
        if stored is None:
            self._forget(key)
            return None
        if stored.deleting:
            # Its children go by owner reference. Somebody's finalizer may hold it for days: its turn must not wait with it.
            self.rollouts.forget(key)
            return None
        visit = await self.gatherer.gather(key, stored)
        self.checks.begin(visit)
        desired = build(visit.known, valid=valid(check(visit.known)))
        visit, desired = self.rollouts.considered(visit, desired)
        applied = await self.children.apply(visit, desired)
        if applied.kept_from_rollout:
            self.rollouts.give_back(key)
        known = await self.checks.awaited(visit)
        known = applied.onto(known)
        if not await self._write_status(visit, known, applied.created):
            return SHORTEST_WAIT_SECONDS
        return next_visit(known, visit.memory, self.now())

    def _forget(self, key: ObjectKey) -> None:
        self.memories.forget(key)
        self.rollouts.forget(key)
        self.series.remove(key.namespace, key.name)

    async def _write_status(self, visit: Visit, known: Input, created: bool) -> bool:
        findings = check(known)
        status = derive(known, findings)
        self.series.set(figures_of(known, status))
        if same_meaning(known.previous.raw, status, known.now):
            return True
        with self.store.expecting(visit.body, status):
            try:
                self.store.renew(await self._put_status(visit, status))
            except (Conflict, NotFound):
                await self._read_again(visit)
                return False
        for notice in events_for(known, status, first=created):
            self.recorder.record(_reference(visit), notice.type, notice.reason, notice.note, notice.action)
        return True

    async def _read_again(self, visit: Visit) -> None:
        # The watch may tell much later, or not at all if the object was deleted while it was down.
        try:
            present = await self.client.get(INTEGRATION, visit.key.namespace, visit.key.name)
        except NotFound:
            present = None
        if present is not None and present["metadata"]["uid"] == visit.known.uid:
            self.store.renew(present)
        else:
            self.store.remove(visit.key, visit.known.uid)

    async def _put_status(self, visit: Visit, status: Mapping[str, Any]) -> KubeObject:
        metadata = {"name": visit.key.name, "namespace": visit.key.namespace, "resourceVersion": visit.resource_version}
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": metadata,
            "spec": visit.body["spec"],
            "status": dict(status),
        }
        return await self.client.replace(
            INTEGRATION, visit.key.namespace, visit.key.name, body, field_manager=names.FIELD_MANAGER, subresource="status"
        )


def _reference(visit: Visit) -> ObjectReference:
    return ObjectReference(names.API_VERSION, names.KIND, visit.key.namespace, visit.key.name, visit.known.uid)
