"""The stream of our own resource: kopf watches, and every event only stores the object and enqueues its key.

kopf's create and update handlers are edge-triggered and cost a write an object; its finalizers, timers and indexes are not used either.
After a relist kopf doesn't tell of objects that were deleted in the gap: a sweep compares from time to time. It also finds out whether the
watch has gone deaf.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from mistral_voice.contract import names
from mistral_voice.controller.kopf_watch import KopfWatch
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.kube.access import Access
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError
from mistral_voice.kube.objects import KubeObject, ObjectKey, is_later
from mistral_voice.kube.resources import Resource
from mistral_voice.kube.workqueue import Backoff

INTEGRATION = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
SWEEP_SECONDS = 600.0
DOUBT_SECONDS = 30.0
"""How long the watch has to tell of what a list knew already, before it counts as deaf."""
_CRD_POLL_SECONDS = 2.0

_log = logging.getLogger(__name__)


class OnChange(Protocol):
    """Told of a key whose meaning changed; `low` where that is no news, but a list that names what was there before."""

    def __call__(self, key: ObjectKey, *, low: bool = False) -> None:
        """Take note of the key."""


class IntegrationStream:
    """Keeps the store at what the API server says and tells `on_change` of every key whose meaning changed."""

    def __init__(
        self,
        client: Client,
        store: IntegrationStore,
        on_change: OnChange,
        namespaces: Sequence[str] = (),
        *,
        backoff: Backoff | None = None,
        sweep_seconds: float = SWEEP_SECONDS,
        doubt_seconds: float = DOUBT_SECONDS,
    ) -> None:
        self._client = client
        self._store = store
        self._on_change = on_change
        self._namespaces = tuple(namespaces)
        self._watch = KopfWatch(self._take, self._namespaces, is_known=store.knows, backoff=backoff)
        self._sweep_seconds = sweep_seconds
        self._doubt_seconds = doubt_seconds
        self._doubted: Mapping[ObjectKey, _Listed] = {}
        self.synced = asyncio.Event()
        self.problem = "The integrations have not been listed yet."

    def age_seconds(self) -> float:
        """Return how long ago the watch last heard the API server, in seconds; the sweep's lists don't count."""
        return self._watch.age_seconds()

    async def run(self, access: Access, stopped: asyncio.Event, reclaim_signals: Callable[[], None]) -> None:
        """Watch until `stopped` is set. Errors of the API server are waited out. For `reclaim_signals` see `KopfWatch.run`."""
        await self._crd_served(stopped)
        if stopped.is_set():
            return
        async with asyncio.TaskGroup() as group:
            sweeping = group.create_task(self._sweep_forever(), name="sweep integrations")
            try:
                await self._watch.run(access, stopped, reclaim_signals)
            finally:
                sweeping.cancel()

    async def _crd_served(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            try:
                await self._served()
                return
            except KubeError as error:
                self.problem = f"MistralVoiceIntegrations can't be listed: {error}"
                _log.warning(self.problem)
            try:
                async with asyncio.timeout(_CRD_POLL_SECONDS):
                    await stopped.wait()
            except TimeoutError:
                continue

    def _take(self, event_type: str | None, body: KubeObject) -> None:
        metadata = body["metadata"]
        key = ObjectKey(metadata["namespace"], metadata["name"])
        if event_type == "DELETED":
            self._store.remove(key, metadata["uid"])
            self._on_change(key)
        elif self._store.put(body):
            self._on_change(key, low=event_type is None)

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self._sweep()
            except KubeError as error:
                self.problem = f"MistralVoiceIntegrations can't be listed: {error}"
                _log.warning(self.problem)
                await asyncio.sleep(_CRD_POLL_SECONDS)
                continue
            await asyncio.sleep(self._doubt_seconds if self._doubted else self._sweep_seconds)

    async def _sweep(self) -> None:
        known = {key: stored.uid for key in self._store if (stored := self._store.get(key))}
        metadata = [item["metadata"] for item in await self._list()]
        listed = {ObjectKey(item["namespace"], item["name"]): _Listed(item["uid"], item["resourceVersion"]) for item in metadata}
        for key, uid in known.items():
            if key not in listed or listed[key].uid != uid:
                self._store.remove(key, uid)
                self._on_change(key)
        self._doubt(listed)
        self.problem = ""
        self.synced.set()

    def _doubt(self, listed: Mapping[ObjectKey, "_Listed"]) -> None:
        """Begin the watch anew if it still lacks what the list before knew; else remember what it has not told yet of this one."""
        doubted, self._doubted = self._doubted, {}
        deaf = [key for key, told in doubted.items() if key in listed and listed[key].uid == told.uid and self._lacks(key, told)]
        if deaf:
            _log.warning("The watch of MistralVoiceIntegrations misses changes.", extra={"missed": len(deaf), "one": str(deaf[0])})
            self._watch.begin_anew()
        elif not doubted and self.synced.is_set():  # While the process starts, the watch has yet to tell of everything.
            self._doubted = {key: told for key, told in listed.items() if self._lacks(key, told)}

    def _lacks(self, key: ObjectKey, told: "_Listed") -> bool:
        stored = self._store.get(key)
        return stored is None or stored.uid != told.uid or is_later(told.resource_version, stored.resource_version)

    async def _list(self) -> list[KubeObject]:
        return [item for namespace in self._places() for item in await self._client.list_all(INTEGRATION, namespace, metadata_only=True)]

    async def _served(self) -> None:
        for namespace in self._places():
            async for _ in self._client.pages(INTEGRATION, namespace, metadata_only=True, page_size=1):
                break

    def _places(self) -> tuple[str | None, ...]:
        return self._namespaces or (None,)


class _Listed(NamedTuple):
    """What a list says of an integration."""

    uid: str
    resource_version: str
