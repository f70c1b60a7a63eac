"""Health checks shared between integrations: the same key with the same settings is asked about once, however many name it."""

import asyncio
import hmac
import secrets
import ssl
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import astuple
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import httpx2
import msgspec

from mistral_voice.contract.secret import Secret
from mistral_voice.controller.health.probe import probe
from mistral_voice.controller.health.result import ProbeCode, ProbeResult
from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.mistral.rest import open_http

MAX_RESULTS: Final = 4096

Probe = Callable[[httpx2.AsyncClient, ProbeTarget, Secret, Callable[[], datetime]], Awaitable[ProbeResult]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _unobserved(_result: ProbeResult) -> None:
    """Let a check pass uncounted."""


class SharedProbes:
    """Runs health checks, at most `max_concurrent` at a time at one endpoint, and remembers at most `max_results`. A context manager.

    Endpoints don't share their turns: one that lets every check wait for its deadline takes none from the others.

    `observe` hears of each check that was made, once however many share it.

    Keys are known here by a hash under a random key of this process alone; neither the key nor a hash of it leaves the memory.
    """

    def __init__(
        self,
        *,
        max_concurrent: int,
        max_results: int = MAX_RESULTS,
        run: Probe = probe,
        now: Callable[[], datetime] = _utc_now,
        observe: Callable[[ProbeResult], None] = _unobserved,
    ) -> None:
        self._max_concurrent = max_concurrent
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._queued: Counter[str] = Counter()
        self._max_connections = max_concurrent * 3
        self._max_results = max_results
        self._run = run
        self._now = now
        self._observe = observe
        self._hash_key = secrets.token_bytes(32)
        self._results: OrderedDict[bytes, ProbeResult] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[ProbeResult]] = {}
        self._clients: dict[tuple[str, str | None], httpx2.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def digest(self, key: Secret) -> str:
        """Return a keyed hash of a key, by which a change of it is seen. It says nothing to anyone without this process's own key."""
        return hmac.digest(self._hash_key, key.reveal().encode(), "sha256").hex()

    def is_crowded(self, target: ProbeTarget) -> bool:
        """Tell whether checks wait for their turn at this endpoint: it is slow, or many are due."""
        return self._queued[target.base_url] > 0

    async def result(self, key: Secret, target: ProbeTarget, *, not_older_than: datetime) -> ProbeResult:
        """Return a result that is not older than that: a remembered one, that of a check under way, or that of a new one.

        One from the future tells that the clock was set back: how old it is, nobody knows.
        """
        mark = self._fingerprint(key, target)
        known = self._results.get(mark)
        if known is not None and not_older_than <= known.checked_at <= self._now():
            return known
        task = self._running.get(mark)
        if task is None:
            task = asyncio.create_task(self._check(mark, key, target), name=f"health check at {target.base_url}")
            self._running[mark] = task
            task.add_done_callback(lambda _: self._running.pop(mark, None))
        # A caller that is cancelled leaves the check to the others who wait for it.
        return await asyncio.shield(task)

    async def _check(self, mark: bytes, key: Secret, target: ProbeTarget) -> ProbeResult:
        async with self._turn(target.base_url):
            try:
                client = self._client(target)
            except ssl.SSLError:
                return ProbeResult(ProbeCode.TLS_ERROR, "The endpoint's caBundle holds no usable certificate.", self._now(), 0)
            result = await self._run(client, target, key, self._now)
        self._observe(result)
        self._results[mark] = result
        self._results.move_to_end(mark)
        while len(self._results) > self._max_results:
            self._results.popitem(last=False)
        return result

    @asynccontextmanager
    async def _turn(self, endpoint: str) -> AsyncIterator[None]:
        turns = self._turns.setdefault(endpoint, asyncio.Semaphore(self._max_concurrent))
        self._queued[endpoint] += 1
        try:
            await turns.acquire()
        finally:
            self._queued[endpoint] -= 1
        try:
            yield
        finally:
            turns.release()

    def _client(self, target: ProbeTarget) -> httpx2.AsyncClient:
        # Endpoints are the administrator's short list. Each has its connections, as it has its turns.
        endpoint = (target.base_url, target.ca_bundle)
        if endpoint not in self._clients:
            self._clients[endpoint] = open_http(target.ca_bundle, max_connections=self._max_connections)
        return self._clients[endpoint]

    def _fingerprint(self, key: Secret, target: ProbeTarget) -> bytes:
        return hmac.digest(self._hash_key, msgspec.json.encode([key.reveal(), *astuple(target)]), "sha256")
