"""kopf's watch of our own resource, which begins anew whenever it ends.

kopf takes more for fatal than an operator may: any error in the stream but 410, and trouble or a missing right that outlasts its nine
attempts.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import aiohttp
import kopf

from mistral_voice.contract import names
from mistral_voice.kube.access import Access, open_session
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.workqueue import Backoff

_STEADY_SECONDS = 60.0
"""A watch that ran this long counts as having worked: the pause before the next one is short again."""

_log = logging.getLogger(__name__)

OnEvent = Callable[[str | None, KubeObject], None]
"""Told of an event's type (None: the object was listed) and its object."""
IsKnown = Callable[[KubeObject], bool]
"""Says whether an object that still exists is known already as it is, so that nobody needs to be told."""


class KopfWatch:
    """Watches MistralVoiceIntegrations in all namespaces or in some, and tells `on_event` of each event."""

    def __init__(
        self,
        on_event: OnEvent,
        namespaces: Sequence[str] = (),
        *,
        is_known: IsKnown = lambda _: False,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._on_event = on_event
        self._is_known = is_known
        self._namespaces = tuple(namespaces)
        self._backoff = backoff or Backoff(base_seconds=1.0, max_seconds=60.0)
        self._chance = chance
        self._doubted = asyncio.Event()
        self._heard_at = asyncio.get_running_loop().time()

    def age_seconds(self) -> float:
        """Return how long ago the API server was last heard: an event came, or a list or stream began, as it does every 5 minutes."""
        return asyncio.get_running_loop().time() - self._heard_at

    def begin_anew(self) -> None:
        """Give up the watch that runs, which seems to be deaf, and begin another with a list."""
        self._doubted.set()

    async def run(self, access: Access, stopped: asyncio.Event, reclaim_signals: Callable[[], None]) -> None:
        """Watch until `stopped` is set, whatever kopf ends of.

        kopf takes SIGTERM for itself when it starts: `reclaim_signals` takes it back, since the order in which we stop is ours.
        """
        loop, failures = asyncio.get_running_loop(), 0
        while not stopped.is_set():
            began = loop.time()
            async with open_session(access, limit=4, traces=[self._listening()]) as session:
                error = await self._run_once(kopf.AiohttpSession(aiohttp_session=session, server=access.server), stopped, reclaim_signals)
            if stopped.is_set():
                return
            failures = 1 if loop.time() - began >= _STEADY_SECONDS else failures + 1
            pause = self._backoff.delay_seconds(failures, self._chance())
            _log.warning("The watch of MistralVoiceIntegrations begins anew in %.1f s: %s", pause, error or "it heard nothing")
            await _wait(stopped, pause)

    async def _run_once(
        self, session: kopf.AiohttpSession, stopped: asyncio.Event, reclaim_signals: Callable[[], None]
    ) -> BaseException | None:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: object) -> kopf.AiohttpSession:
            return session

        def is_news(event: kopf.RawEvent, **_: object) -> bool:
            # Asked before kopf prepares a handler's call, which costs more than all that we do with an event.
            self._hear()
            return event["type"] == "DELETED" or not self._is_known(dict(event["object"]))

        @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry, when=is_news)
        async def tell(event: kopf.RawEvent, **_: object) -> None:
            self._on_event(event["type"], dict(event["object"]))

        self._doubted.clear()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=kopf_settings(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=stopped,
        )
        reclaim_signals()
        doubted = asyncio.create_task(self._doubted.wait(), name="wait for doubts about the watch")
        try:
            return await _run_until_one_ends(tasks, doubted)
        finally:
            doubted.cancel()

    def _hear(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()

    def _listening(self) -> aiohttp.TraceConfig:
        async def answered(_: aiohttp.ClientSession, __: object, answer: aiohttp.TraceRequestEndParams) -> None:
            # In a quiet cluster no events come, but the server ends each stream after a while and takes the next.
            if answer.response.ok:
                self._hear()

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(answered)
        return trace


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


async def _run_until_one_ends(tasks: Collection[asyncio.Task[None]], doubted: asyncio.Task[bool]) -> BaseException | None:
    """Wait until a task of kopf's ends, or the watch is doubted; end the others. Return what the task failed of."""
    # kopf's own `run_tasks` would wait for, and then cancel, every other task of the process as a hung one.
    try:
        await asyncio.wait({*tasks, doubted}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return next((error for task in ended if not task.cancelled() and (error := task.exception()) is not None), None)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


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
