"""Leadership by a `Lease`: one process leads, a follower takes over at once after a clean stop and within the lease's time after a crash.

As in client-go, a lease's age is what a follower itself has measured since the lease last changed, on its own monotonic clock: the clocks
of two machines are never compared.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import AlreadyExists, ApiError, Conflict, LeadershipLost, NotFound, Unreachable
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import LEASE

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """A leader that could not renew for `renew_deadline_seconds` stops; others wait `lease_seconds` (whole ones, at least 1) for it."""

    lease_seconds: int = 15
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_seconds < self.renew_deadline_seconds < self.lease_seconds:
            raise ValueError(
                f"A lease of {self.lease_seconds} s, renewed every {self.retry_seconds:g} s for at most {self.renew_deadline_seconds:g} s, "
                "is not safe: the retry period must be shorter than the renew deadline, and that shorter than the lease."
            )


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LeaderElector:
    """One candidate for a lease, and the fence for what the leader writes.

    `identity` differs from process to process, also after a restart. Its rights on leases: get, create, update and watch.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = _utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or LeaseTiming()
        self._clock = clock
        self._wall_clock = wall_clock
        self._chance = chance
        self._version = ""
        self._seen = _Spec()
        self._seen_at = clock()
        self._leading = False
        self._renewed_at = 0.0

    @property
    def holder(self) -> str:
        """Return who was last seen to hold the lease; empty if nobody."""
        return self._seen.holder_identity or ""

    @property
    def transitions(self) -> int:
        """Return how often the lease has changed hands."""
        return self._seen.lease_transitions or 0

    def is_leader(self) -> bool:
        """Return whether we lead and renewed lately enough to begin a write."""
        return self._leading and self._clock() < self._renewed_at + self._timing.renew_deadline_seconds

    def seconds_left(self) -> float:
        """Return how long it will be before another could lead, counted from the start of our last renewal."""
        return self._renewed_at + self._timing.lease_seconds - self._clock() if self._leading else 0.0

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for the lease, run `lead` while we hold it, then release it.

        Cancelled, it first ends `lead`, renewing meanwhile. Raises `LeadershipLost`, with `lead` cancelled, once the lease is another's or
        could not be renewed in time, and whatever `lead` raises.
        """
        await self._acquire()
        _log.info("This process leads.", extra={"lease": self._name, "identity": self._identity})
        renewing = asyncio.create_task(self._renew(), name="renew the lease")
        leading = asyncio.create_task(lead(), name="lead")
        try:
            await asyncio.wait({leading, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(leading)
            lost = await _end(renewing)
            self._leading = False
            if lost is None:
                await self._release()
        if lost is not None:
            raise lost
        if not leading.cancelled():
            leading.result()

    async def _acquire(self) -> None:
        while True:
            try:
                if await self._try_acquire():
                    return
                if not await self._is_freed():
                    await asyncio.sleep(self._timing.retry_seconds)
            except (AlreadyExists, Conflict):
                continue
            except (ApiError, Unreachable) as error:
                _log.warning("The lease %s can't be read or taken: %s", self._name, error)
                await asyncio.sleep(self._timing.retry_seconds * (1 + 0.2 * self._chance()))

    async def _try_acquire(self) -> bool:
        try:
            await self._read()
        except NotFound:
            await self._take(self._spec(acquired=True), create=True)
            return True
        if self._expires_in() > 0 and self.holder != self._identity:
            return False
        await self._take(self._spec(acquired=True))
        return True

    async def _is_freed(self) -> bool:
        """Wait until the lease is released, deleted or expired. Return False when its watch ends before that."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._expires_in()) as expiry:
                events = self._client.watch(
                    LEASE, self._namespace, resource_version=self._version, field_selector=f"metadata.name={self._name}"
                )
                async with aclosing(events):
                    async for event in events:
                        if event.type == "BOOKMARK":
                            continue
                        self._observe(event.decode())
                        if event.type == "DELETED" or self._expires_in() <= 0:
                            return True
                        expiry.reschedule(loop.time() + self._expires_in())
        except TimeoutError:
            return True
        return False

    async def _renew(self) -> None:
        """Renew for ever; raise `LeadershipLost` when that fails for too long."""
        while True:
            await asyncio.sleep(min(self._timing.retry_seconds, max(0.0, self._renewable_seconds())))
            try:
                if (left := self._renewable_seconds()) <= 0:
                    raise LeadershipLost(f"The lease {self._name} could not be renewed for {self._timing.renew_deadline_seconds:g} s.")
                async with asyncio.timeout(left):
                    await self._renew_once()
            except LeadershipLost:
                self._leading = False
                raise
            except (ApiError, Unreachable, TimeoutError) as error:
                _log.warning("The lease %s is not renewed yet: %s", self._name, error or "no answer in time")

    async def _renew_once(self) -> None:
        while True:
            try:
                await self._take(self._spec())
                return
            except NotFound:
                await self._take(self._spec(), create=True)
                return
            except (AlreadyExists, Conflict):
                # Somebody wrote to the lease, or an earlier renewal of ours took place although its answer never came.
                await self._read()
                if self.holder != self._identity:
                    raise LeadershipLost(f"The lease {self._name} is held by {self.holder or 'nobody'} now.") from None

    async def _release(self) -> None:
        """Give the lease back. If that fails others wait for its end: no harm is done."""
        try:
            async with asyncio.timeout(self._timing.retry_seconds):
                await self._write(msgspec.structs.replace(self._spec(), holder_identity="", lease_duration_seconds=1))
        except (ApiError, Unreachable, TimeoutError) as error:
            _log.warning("The lease %s could not be released: %s", self._name, error or "no answer in time")

    async def _take(self, spec: _Spec, *, create: bool = False) -> None:
        """Write the lease as ours. On success we hold it from the moment on at which the request began."""
        began = self._clock()
        await self._write(spec, create=create)
        self._renewed_at = began
        self._leading = True

    async def _write(self, spec: _Spec, *, create: bool = False) -> None:
        metadata = {"name": self._name, "namespace": self._namespace} | ({} if create else {"resourceVersion": self._version})
        body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": msgspec.to_builtins(spec)}
        if create:
            answer = await self._client.create(LEASE, self._namespace, body, timeout_seconds=self._call_seconds())
        else:
            answer = await self._client.replace(LEASE, self._namespace, self._name, body, timeout_seconds=self._call_seconds())
        self._observe(answer)

    async def _read(self) -> None:
        self._observe(await self._client.get(LEASE, self._namespace, self._name, timeout_seconds=self._call_seconds()))

    def _spec(self, *, acquired: bool = False) -> _Spec:
        """Return the lease as ours, renewed now."""
        now = self._wall_clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed_hands = acquired and self.holder != self._identity and self._version != ""
        return _Spec(
            holder_identity=self._identity,
            lease_duration_seconds=self._timing.lease_seconds,
            acquire_time=now if acquired else self._seen.acquire_time,
            renew_time=now,
            lease_transitions=self.transitions + changed_hands,
        )

    def _observe(self, answer: KubeObject) -> None:
        lease = msgspec.convert(answer, _Lease)
        self._version = lease.metadata.resource_version
        if lease.spec != self._seen:
            self._seen, self._seen_at = lease.spec, self._clock()

    def _expires_in(self) -> float:
        """Return after how many seconds the lease may be taken; 0 if it may be at once."""
        if not self.holder:
            return 0.0
        duration = self._seen.lease_duration_seconds or self._timing.lease_seconds
        return max(0.0, self._seen_at + duration - self._clock())

    def _renewable_seconds(self) -> float:
        return self._renewed_at + self._timing.renew_deadline_seconds - self._clock()

    def _call_seconds(self) -> float:
        return self._timing.renew_deadline_seconds / 2


async def _end(task: asyncio.Task[None]) -> BaseException | None:
    """End a task and wait for it. Return what it failed with, if it had ended by itself before."""
    failed = task.done()
    task.cancel()
    await asyncio.wait({task})
    if task.cancelled():
        return None
    error = task.exception()
    return error if failed else None
