"""What a visit does where nothing is to be asked of the API server."""

from datetime import datetime
from typing import Any, cast

from prometheus_client import CollectorRegistry

from mistral_voice.controller.build import build
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.memory import Memories, Memory
from mistral_voice.controller.metrics import IntegrationSeries, OperatorMetrics
from mistral_voice.controller.reconcile import Reconciler
from mistral_voice.controller.rollouts import Rollouts
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.kube.objects import ObjectKey
from tests.unit.controller.given import NOW
from tests.unit.controller.test_rollouts import OUTDATED
from tests.unit.controller.test_store import integration

KEY = ObjectKey("team", "support")
WAITS = ObjectKey("team", "waits")
_UNTOUCHED = cast("Any", None)


def reconciler(store: IntegrationStore, rollouts: Rollouts) -> Reconciler:
    def now() -> datetime:
        return NOW

    return Reconciler(
        client=_UNTOUCHED,
        store=store,
        memories=Memories(),
        gatherer=_UNTOUCHED,
        children=_UNTOUCHED,
        checks=_UNTOUCHED,
        rollouts=rollouts,
        recorder=_UNTOUCHED,
        series=IntegrationSeries(),
        now=now,
    )


async def test_one_that_a_finalizer_holds_while_it_is_deleted_gives_its_turn_to_roll_out_back() -> None:
    store, registry = IntegrationStore(), CollectorRegistry()
    called: list[ObjectKey] = []
    rollouts = Rollouts(1, called.append, OperatorMetrics(registry))
    rollouts.resume([KEY])
    waiting = Visit(WAITS, {}, "1", Memory(OUTDATED.uid), OUTDATED, {}, None, None)
    rollouts.considered(waiting, build(OUTDATED, valid=True))
    body = integration()
    store.put({**body, "metadata": {**body["metadata"], "deletionTimestamp": "2026-05-01T00:00:00Z", "finalizers": ["example.com/held"]}})
    assert await reconciler(store, rollouts).reconcile(KEY) is None
    assert called == [WAITS]
