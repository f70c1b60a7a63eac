"""Follow all objects of a kind that a selector matches: list, watch, resume, list again, compare."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import msgspec

from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import ApiError, Gone, NotFound, TooManyRequests, Unreachable
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.observed import ObjectReader, Observed
from mistral_voice.kube.resources import Resource
from mistral_voice.kube.watched import OnChange, WatchedObjects
from mistral_voice.kube.workqueue import Backoff

STREAM_SECONDS: Final = (180.0, 220.0)
"""A stream ends by itself within this span: load balancers cut silent connections after 240 s or more, and not always audibly."""
SWEEP_SECONDS: Final = 1800.0
ABSENT_SECONDS: Final = 60.0
_SHORTEST_STREAM_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)


class _Bookmark(msgspec.Struct):
    class Metadata(msgspec.Struct):
        resource_version: str = msgspec.field(name="resourceVersion")

    metadata: Metadata


_decode_bookmark: Final = msgspec.json.Decoder(_Bookmark).decode


class Watch:
    """The objects of one kind, in all namespaces or in some.

    `objects` holds the records. `synced` is set once every namespace was listed, or the kind turned out not to be installed (`absent`: it
    is looked for again every minute). `problem` is a sentence while a namespace can't be listed or watched, else empty.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        reader: ObjectReader,
        on_change: OnChange,
        *,
        label_selector: str,
        namespaces: Sequence[str] | None = None,
        sweep_seconds: float = SWEEP_SECONDS,
        stream_seconds: tuple[float, float] = STREAM_SECONDS,
        absent_seconds: float = ABSENT_SECONDS,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.resource = resource
        self.objects = WatchedObjects(on_change)
        self.synced = asyncio.Event()
        self.absent = False
        self._client = client
        self._reader = reader
        self._label_selector = label_selector
        self._namespaces: Sequence[str | None] = [None] if namespaces is None else list(namespaces)
        self._sweep_seconds = sweep_seconds
        self._stream_seconds = stream_seconds
        self._absent_seconds = absent_seconds
        self._backoff = backoff or Backoff(base_seconds=0.2, max_seconds=30.0)
        self._clock = clock
        self._chance = chance
        self._started = clock()
        self._heard: dict[str | None, float] = {}
        self._problems: dict[str | None, str] = {}

    @property
    def problem(self) -> str:
        """Return why the records may be out of date, or nothing."""
        return " ".join(sorted(set(self._problems.values())))

    def age_seconds(self) -> float:
        """Return how long ago the API server was last heard of these objects, in the namespace where that is longest."""
        return self._clock() - min((self._heard.get(namespace, self._started) for namespace in self._namespaces), default=self._started)

    async def run(self) -> None:
        """Follow for ever. No error of the API server ends this; cancel it."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                group.create_task(self._follow(namespace), name=f"watch {self.resource.plural} {namespace or ''}".rstrip())

    async def _follow(self, namespace: str | None) -> None:
        place = _Place()
        while True:
            try:
                if not place.version or place.sweep_at <= self._clock():
                    await self._list(namespace, place)
                await self._stream(namespace, place)
            except NotFound:
                self._set_absent(namespace, place)
                await asyncio.sleep(self._absent_seconds * (0.9 + 0.2 * self._chance()))
            except (ApiError, Unreachable, msgspec.DecodeError) as error:
                if not _may_resume(error):
                    place.version = ""
                place.failures += 1
                if not isinstance(error, Gone):
                    self._problems[namespace] = str(error)
                    _log.warning("The watch of %s is interrupted: %s", self.resource.plural, error, extra={"namespace": namespace or ""})
                await asyncio.sleep(self._backoff.delay_seconds(place.failures, self._chance()))

    async def _list(self, namespace: str | None, place: "_Place") -> None:
        version, metadata_only = "", self._reader.metadata_only(self.resource)
        pages = self._client.pages(self.resource, namespace, label_selector=self._label_selector, metadata_only=metadata_only)
        with self.objects.listing(namespace) as listing:
            async with aclosing(pages):
                async for page in pages:
                    for item in page.items:
                        listing.seen(self._reader.read(self.resource, item))
                    version = page.resource_version
        place.version = version
        place.sweep_at = self._clock() + self._sweep_seconds * (0.9 + 0.2 * self._chance())
        self.absent = False
        self._hear(namespace)

    async def _stream(self, namespace: str | None, place: "_Place") -> None:
        """Take in changes from where we are, until the stream ends as agreed."""
        started = self._clock()
        low, high = self._stream_seconds
        events = self._client.watch(
            self.resource,
            namespace,
            resource_version=place.version,
            label_selector=self._label_selector,
            metadata_only=self._reader.metadata_only(self.resource),
            timeout_seconds=min(low + (high - low) * self._chance(), max(1.0, place.sweep_at - started)),
        )
        async with aclosing(events):
            async for event in events:
                if event.type == "BOOKMARK":
                    place.version = _decode_bookmark(event.object).metadata.resource_version
                else:
                    observed = self._reader.read(self.resource, event.object)
                    take_in = self.objects.gone if event.type == "DELETED" else self.objects.seen
                    take_in(observed)
                    place.version = observed.resource_version
                place.failures = 0
                self._hear(namespace)
        if self._clock() - started < _SHORTEST_STREAM_SECONDS:
            raise Unreachable(f"The API server ends the watch of {self.resource.plural} as soon as it begins.")
        place.failures = 0
        self._hear(namespace)

    def _hear(self, namespace: str | None) -> None:
        self._heard[namespace] = self._clock()
        self._problems.pop(namespace, None)
        if len(self._heard) == len(self._namespaces):
            self.synced.set()

    def _set_absent(self, namespace: str | None, place: "_Place") -> None:
        place.version, place.failures = "", 0
        self.absent = True
        with self.objects.listing(namespace):
            """Nothing is listed, so whatever was there is gone."""
        self._hear(namespace)


def _may_resume(error: Exception) -> bool:
    """Return whether the watch can go on from where it was, because the server was only out of reach or in trouble."""
    return isinstance(error, Unreachable | TooManyRequests) or (isinstance(error, ApiError) and error.status >= 500)


@dataclass(slots=True)
class _Place:
    """Where a namespace's stream is: the version it has come to (none: list first) and when to compare with a list again."""

    version: str = ""
    sweep_at: float = 0.0
    failures: int = 0


class Watches:
    """The watches of several kinds, which share their reader. It is the `WriteNotice` of the applier that writes these kinds."""

    def __init__(self, watches: Iterable[Watch]) -> None:
        self._watches = {watch.resource: watch for watch in watches}

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._watches.values())

    def __getitem__(self, resource: Resource) -> Watch:
        return self._watches[resource]

    async def run(self) -> None:
        """Follow all kinds for ever; cancel it."""
        async with asyncio.TaskGroup() as group:
            for watch in self:
                group.create_task(watch.run(), name=f"watch {watch.resource.plural}")

    async def synced(self) -> None:
        """Wait until every kind was listed once, or is not installed."""
        for watch in self:
            await watch.synced.wait()

    def of_owner(self, owner_uid: str, namespace: str) -> dict[Resource, tuple[Observed, ...]]:
        """Return all objects that belong to an owner, in its namespace, by kind."""
        return {watch.resource: watch.objects.of_owner(owner_uid, namespace) for watch in self}

    def begin_write(self, resource: Resource, key: ObjectKey) -> None:
        """See `WatchedObjects.begin_write`; kinds that aren't watched are passed over."""
        if resource in self._watches:
            self._watches[resource].objects.begin_write(key)

    def end_write(self, resource: Resource, key: ObjectKey, written: Observed | None) -> None:
        """See `WatchedObjects.end_write`."""
        if resource in self._watches:
            self._watches[resource].objects.end_write(key, written)

    def found_intact(self, resource: Resource, observed: Observed, noted: Observed) -> None:
        """See `WatchedObjects.note`."""
        if resource in self._watches:
            self._watches[resource].objects.note(observed, noted)
