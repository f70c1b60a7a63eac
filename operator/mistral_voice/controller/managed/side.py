"""The parts of managed mode in the operator's process, put together."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from mistral_voice.controller.calls import Calls
from mistral_voice.controller.managed.authority import BrokerAuthority
from mistral_voice.controller.managed.facts import Platform
from mistral_voice.controller.managed.plans import Plans
from mistral_voice.controller.managed.shelves import Shelves
from mistral_voice.controller.managed.usage import PlatformUsage
from mistral_voice.controller.settings import ManagedModeSettings
from mistral_voice.kube.client import Client
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.watch import Watches
from mistral_voice.kube.workqueue import WorkQueue

_PLAN_WORKERS = 2


@dataclass(frozen=True)
class _Concerned:
    """Finds who is concerned by a change of the platform's. One change may concern thousands: they wait behind what just happened.

    Before this replica leads nobody is looked for: then it visits all.
    """

    calls: Calls
    queue: WorkQueue[str]

    def plan_changed(self, name: str) -> None:
        if self.calls.leading.is_set():
            self.queue.add(name)
            self._call(self.calls.store.claiming(name))

    def namespace_changed(self, name: str) -> None:
        if self.calls.leading.is_set():
            self._call(self.calls.store.managed_in(name))

    def authority_changed(self) -> None:
        if self.calls.leading.is_set():
            self._call(self.calls.store.managed_in(None))

    def usage_changed(self, keys: Iterable[ObjectKey]) -> None:
        self._call(keys)

    def _call(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            self.calls.for_integration(key, low=True)


@dataclass(frozen=True)
class ManagedSide:
    """Watches of plans, pools and namespaces, the broker's authorities, the plans' status, and what was used."""

    watches: Watches
    shelves: Shelves
    authority: BrokerAuthority
    plans: Plans
    queue: WorkQueue[str]
    usage: PlatformUsage

    @classmethod
    def assembled(
        cls, settings: ManagedModeSettings, reader: Client, writer: Client, calls: Calls, now: Callable[[], datetime]
    ) -> "ManagedSide":
        """Put the parts together. Raises SettingsError if the broker's authorities can't be read."""
        queue: WorkQueue[str] = WorkQueue(workers=_PLAN_WORKERS)
        concerned = _Concerned(calls, queue)
        shelves = Shelves(concerned)
        authority = BrokerAuthority(settings.broker.ca_bundle_file, concerned.authority_changed)
        usage = PlatformUsage(settings.control_plane, settings.broker.ca_bundle_file, shelves.specifications, concerned.usage_changed)
        return cls(shelves.watches(reader), shelves, authority, Plans(writer, shelves, now), queue, usage)

    def platform(self, namespace: str, plan: str) -> Platform:
        """Return what concerns an integration that claims a plan."""
        return self.shelves.platform(namespace, plan, self.authority.pem)

    async def run(self) -> None:
        """Watch for ever; cancel it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watches.run(), name="watch plans, pools and namespaces")
            group.create_task(self.authority.run(), name="watch the broker's authorities")

    async def lead(self) -> None:
        """Visit plans, and ask what was used, until the queue is stopped."""
        for name in self.shelves.plans():
            self.queue.add(name, low=True)
        asking = asyncio.create_task(self.usage.run(), name="ask for usage")
        try:
            await self.queue.run(self.plans.reconcile)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
