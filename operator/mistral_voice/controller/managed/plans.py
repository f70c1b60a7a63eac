"""One visit to one plan: its status, written where it differs in meaning. Only the leader does this."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mistral_voice.contract import names
from mistral_voice.controller.managed.plan_status import next_price_change, plan_status
from mistral_voice.controller.managed.reader import PLAN
from mistral_voice.controller.managed.shelves import ShelvedPlan, Shelves
from mistral_voice.controller.status import same_meaning
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import Conflict, NotFound

AGAIN_SECONDS: Final = 1.0
"""How soon a plan is looked at again that somebody changed while its status was written: the watch tells what it says now."""


@dataclass(frozen=True)
class Plans:
    """Visits plans, each by one visit at a time."""

    client: Client
    shelves: Shelves
    now: Callable[[], datetime]

    async def reconcile(self, name: str) -> float | None:
        """Bring a plan's status to what is so. Return in how many seconds to come again."""
        shelved, now = self.shelves.plan(name), self.now()
        if shelved is None or shelved.observed.deleting:
            return None
        former = shelved.observed.decoded_status()
        status = plan_status(
            shelved.facts, self.shelves.pool_of(shelved.facts), generation=shelved.observed.generation, former=former, now=now
        )
        if not same_meaning(former, status, now):
            try:
                await self._put(shelved, status)
            except (Conflict, NotFound):
                return AGAIN_SECONDS
        change = None if shelved.facts.spec is None else next_price_change(shelved.facts.spec, now)
        return None if change is None else max(AGAIN_SECONDS, (change - now).total_seconds())

    async def _put(self, shelved: ShelvedPlan, status: dict[str, Any]) -> None:
        observed = shelved.observed
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.PLAN_KIND,
            "metadata": {"name": observed.name, "resourceVersion": observed.resource_version, "uid": observed.uid},
            "spec": observed.decoded_spec(),
            "status": status,
        }
        await self.client.replace(PLAN, None, observed.name, body, field_manager=names.FIELD_MANAGER, subresource="status")
