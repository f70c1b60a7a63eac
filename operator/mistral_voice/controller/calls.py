"""Calls for visits: whatever changes about an integration puts it into the queue."""

import asyncio
from dataclasses import dataclass, field

from mistral_voice.controller.store import IntegrationStore
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.workqueue import WorkQueue


@dataclass(frozen=True)
class Calls:
    """Takes calls while this replica leads. A follower only keeps its records current: when it comes to lead, it visits all."""

    queue: WorkQueue[ObjectKey]
    store: IntegrationStore
    leading: asyncio.Event = field(default_factory=asyncio.Event)

    def for_integration(self, key: ObjectKey, *, low: bool = False) -> None:
        """Call for a visit to an integration; `low` ones wait for the others."""
        if self.leading.is_set():
            self.queue.add(key, low=low)

    def for_owner(self, child: Observed, _deleted: bool) -> None:
        """Call for a visit to the integration whose child changed or went, if there is one."""
        key = self.store.concerned_by(child)
        if key is not None:
            self.for_integration(key)
