"""The stream of our own resource: kopf watches, and every event only stores the object and enqueues its key.

kopf's create and update handlers are edge-triggered and cost a write an object; its finalizers, timers and indexes are not used either.
After a relist kopf doesn't tell of objects that were deleted in the gap: a sweep compares from time to time.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

import aiohttp
import kopf

from mistral_voice.contract import names
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError
from mistral_voice.kube.objects import KubeObject, ObjectKey
from mistral_voice.kube.resources import Resource

INTEGRATION = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
SWEEP_SECONDS = 600.0
_CRD_POLL_SECONDS = 2.0

_log = logging.getLogger(__name__)


class OnChange(Protocol):
    """Told of a key whose meaning changed; `low` where that is no news, but a list that names what was there before."""

    def __call__(self, key: ObjectKey, *, low: bool = False) -> None:
        """Take note of the key."""


class StreamEnded(KubeError):
    """The watch of the integrations ended although nobody stopped it."""


class IntegrationStream:
    """Keeps the store at what the API server says and tells `on_change` of every key whose meaning changed."""

    def __init__(
        self,
        client: Client,
        store: IntegrationStore,
        on_change: OnChange,
        namespaces: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._store = store
        self._on_change = on_change
        self._namespaces = tuple(namespaces)
        self._heard_at = asyncio.get_running_loop().time()
        self.synced = asyncio.Event()
        self.problem = "The integrations have not been listed yet."

    def age_seconds(self) -> float:
        """Return how long ago the watch or a sweep last brought anything, in seconds."""
        return asyncio.get_running_loop().time() - self._heard_at

    async def run(self, session: aiohttp.ClientSession, server: str, stopped: asyncio.Event, reclaim_signals: Callable[[], None]) -> None:
        """Watch until `stopped` is set. Errors of the API server are waited out.

        kopf takes SIGTERM for itself when it starts: `reclaim_signals` takes it back, since the order in which we stop is ours.
        """
        await self._crd_served(stopped)
        if stopped.is_set():
            return
        async with asyncio.TaskGroup() as group:
            sweeping = group.create_task(self._sweep_forever(), name="sweep integrations")
            try:
                await self._run_kopf(session, server, stopped, reclaim_signals)
            finally:
                sweeping.cancel()
            if not stopped.is_set():
                raise StreamEnded("The watch of MistralVoiceIntegrations ended by itself; without it no change is seen.")

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

    async def _run_kopf(
        self, session: aiohttp.ClientSession, server: str, stopped: asyncio.Event, reclaim_signals: Callable[[], None]
    ) -> None:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: object) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(aiohttp_session=session, server=server)

        @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
        async def enqueue(event: kopf.RawEvent, **_: object) -> None:
            self._take(event["type"], dict(event["object"]))

        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=kopf_settings(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=stopped,
        )
        reclaim_signals()
        await _run_until_one_ends(tasks)

    def _take(self, event_type: str | None, body: KubeObject) -> None:
        self._heard_at = asyncio.get_running_loop().time()
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
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep(self) -> None:
        known = {key: stored.uid for key in self._store if (stored := self._store.get(key))}
        listed = [item["metadata"] for item in await self._list()]
        present = {ObjectKey(metadata["namespace"], metadata["name"]): metadata["uid"] for metadata in listed}
        self._heard_at = asyncio.get_running_loop().time()
        for key, uid in known.items():
            if present.get(key) != uid:
                self._store.remove(key, uid)
                self._on_change(key)
        self.problem = ""
        self.synced.set()

    async def _list(self) -> list[KubeObject]:
        return [item for namespace in self._places() for item in await self._client.list_all(INTEGRATION, namespace, metadata_only=True)]

    async def _served(self) -> None:
        for namespace in self._places():
            async for _ in self._client.pages(INTEGRATION, namespace, metadata_only=True, page_size=1):
                break

    def _places(self) -> tuple[str | None, ...]:
        return self._namespaces or (None,)


class _NoDifferences(kopf.DiffBaseStorage):
    """Nothing to compare with: kopf would copy each object several times over for handlers that we don't have."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is kept."""


class _NoProgress(kopf.ProgressStorage):
    """No handler of ours has progress to keep."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:  # noqa: ARG002
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is kept."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing was kept."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Nothing is kept."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


async def _run_until_one_ends(tasks: Collection[asyncio.Task[None]]) -> None:
    # kopf's own `run_tasks` would wait for, and then cancel, every other task of the process as a hung one.
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: a watch and nothing else, no peering, no events, nothing of kopf's own names in the cluster."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.finalizer = f"{names.GROUP}/unused"
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.queueing.worker_limit = 64
    settings.queueing.idle_timeout = 0.01
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    return settings
