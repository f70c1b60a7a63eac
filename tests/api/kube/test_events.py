"""Events as `kubectl describe` finds them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from mistral_voice.kube import resources
from mistral_voice.kube.client import Client
from mistral_voice.kube.events import BURST, EventOutcome, EventRecorder, ObjectReference
from mistral_voice.kube.objects import KubeObject
from tests.cluster import ApiServer
from tests.support.waiting import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)


class Written:
    """A running recorder, its clock, and what became of its events."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.clock = Clock()
        self.outcomes: Counter[EventOutcome] = Counter()
        self.about = ObjectReference("v1", "ConfigMap", namespace, "thing", "uid-1")
        self.recorder = EventRecorder(
            client,
            controller="sample-operator",
            instance="pod-1",
            observe=self._observe,
            clock=self.clock.monotonic,
            wall_clock=self.clock.wall,
        )

    def _observe(self, outcome: EventOutcome) -> None:
        self.outcomes[outcome] += 1

    def record(self, reason: str = "KeyRotated", note: str = "The key was rotated.", about: ObjectReference | None = None) -> None:
        self.recorder.record(about or self.about, "Normal", reason, note, "Rotate")

    async def until(self, **outcomes: int) -> None:
        wanted = Counter({EventOutcome[name.upper()]: count for name, count in outcomes.items()})
        await eventually(lambda: self.outcomes == wanted, f"{outcomes}")

    async def listed(self) -> list[KubeObject]:
        return sorted(await self.client.list_all(resources.EVENT, self.namespace), key=lambda event: str(event["reason"]))


@asynccontextmanager
async def written(client: Client, namespace: str) -> AsyncIterator[Written]:
    written = Written(client, namespace)
    task = asyncio.create_task(written.recorder.run())
    try:
        yield written
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_an_event_is_shown_by_kubectl(client: Client, cluster: ApiServer, namespace: str) -> None:
    async with written(client, namespace) as events:
        events.record()
        await events.until(written=1)
    shown = cluster.kubectl("get", "events", "-n", namespace, "--no-headers").stdout
    assert "KeyRotated" in shown
    assert "configmap/thing" in shown
    assert "The key was rotated." in shown
    (event,) = await events.listed()
    assert event["reportingController"] == "sample-operator"
    assert event["reportingInstance"] == "pod-1"
    assert event["regarding"]["uid"] == "uid-1"


async def test_the_same_event_within_ten_minutes_is_counted_up(client: Client, namespace: str) -> None:
    async with written(client, namespace) as events:
        events.record()
        await events.until(written=1)
        for _ in range(3):
            events.clock.now += 60
            events.record()
        await events.until(written=2)
        (event,) = await events.listed()
        assert event["series"]["count"] == 4
        assert event["series"]["lastObservedTime"] == "2026-01-01T00:03:00.000000Z"
        events.clock.now += 600
        events.record()
        await events.until(written=3)
        assert len(await events.listed()) == 2


async def test_a_flood_is_cut_off_per_object_and_trickles_on(client: Client, namespace: str) -> None:
    async with written(client, namespace) as events:
        for number in range(40):
            events.record(note=f"Number {number}.")
        events.record(about=ObjectReference("v1", "ConfigMap", namespace, "other", "uid-2"))
        await events.until(written=BURST + 1, dropped=40 - BURST)
        events.clock.now += 300
        events.record(note="Later.")
        events.record(note="Still later.")
        await events.until(written=BURST + 2, dropped=40 - BURST + 1)


async def test_an_event_that_expired_in_the_cluster_is_written_anew(client: Client, namespace: str) -> None:
    async with written(client, namespace) as events:
        events.record()
        await events.until(written=1)
        (event,) = await events.listed()
        await client.delete(resources.EVENT, namespace, event["metadata"]["name"])
        events.record()
        await events.until(written=2)
        (event,) = await events.listed()
        assert event["series"]["count"] == 2


async def test_what_the_api_server_refuses_is_dropped_and_counted(client: Client, namespace: str) -> None:
    async with written(client, namespace) as events:
        events.record(about=ObjectReference("v1", "ConfigMap", "no-such-namespace", "thing", "uid-1"))
        events.record(note="ü" * 2000)
        await events.until(written=1, failed=1)
        (event,) = await events.listed()
        assert event["note"] == "ü" * 512


async def test_recording_never_waits_nor_grows_without_bound(client: Client, namespace: str) -> None:
    events = Written(client, namespace)
    for number in range(10_000):
        events.record(note=f"Number {number}.", about=ObjectReference("v1", "ConfigMap", namespace, "thing", f"uid-{number}"))
    assert events.outcomes[EventOutcome.DROPPED] == 9_000
    assert len(events.recorder._series) <= 4096
    assert len(events.recorder._allowances) <= 4096
