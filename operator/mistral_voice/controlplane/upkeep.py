"""What the control plane does by itself: settle leases that ran out, keep plans, look after keys, write the pools' status."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Protocol

from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.ledger.ledger import Ledger, LedgerUnavailable
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.controlplane.pool_status import status_of
from mistral_voice.controlplane.store.database import Database
from mistral_voice.controlplane.store.retention import Retention, remove_old
from mistral_voice.controlplane.watching import POOLS, CatalogueWatch
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError, LeadershipLost
from mistral_voice.kube.lease import LeaderElector

EVERY_SECONDS: Final = 1.0
STATUS_SECONDS: Final = 2.0
REMOVAL_SECONDS: Final = 600.0

_log: Final = logging.getLogger(__name__)


class Watched(Protocol):
    """Says what of plans and pools was not listed yet; see `CatalogueWatch`."""

    def not_ready_because(self) -> str | None:
        """Return None once plans and pools were listed."""
        ...


class Upkeep:
    """The work of every replica: what two do at once counts once. `clock` is any that goes evenly.

    Nothing is said of plans and pools before all were listed: those that were not yet would pass for gone.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        keys: KeyRing,
        catalogue: Catalogue,
        metrics: ControlPlaneMetrics,
        clock: Callable[[], float],
        retention: Retention,
        watched: Watched,
        plans_changed: asyncio.Event,
    ) -> None:
        self._database = database
        self._retention = retention
        self._watched = watched
        self._removal_due = clock()
        self._ledger = ledger
        self._keys = keys
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock = clock
        self.plans_changed = plans_changed
        self.problem: str | None = "The database was not asked yet."

    async def run(self) -> None:
        """Keep on until cancelled; a database that is away only makes it wait."""
        while True:
            try:
                await self.once()
                self.problem = None
            except LedgerUnavailable as error:
                if self.problem is None:
                    _log.warning("The ledger's database doesn't answer: %s", error)
                self.problem = "The ledger's database doesn't answer."
            if self._watched.not_ready_because() is not None:
                await asyncio.sleep(EVERY_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self.plans_changed.wait()

    async def once(self) -> None:
        """Do all that is due. Raises `LedgerUnavailable`."""
        is_listed = self._watched.not_ready_because() is None
        if is_listed and self.plans_changed.is_set():
            self.plans_changed.clear()
            try:
                await self._catalogue.keep(self._database)
            except LedgerUnavailable:
                self.plans_changed.set()
                await asyncio.sleep(EVERY_SECONDS)
                raise
        if is_listed:
            await self._keys.refresh()
        self._metrics.expired.inc(await self._ledger.sweep())
        self._metrics.waiting.set(self._ledger.waiting)
        await self._remove_old(self._clock())
        pools = self._catalogue.pools
        self._metrics.pools_are({pool: [record.state for record in self._keys.records(pool).values()] for pool in pools})

    async def _remove_old(self, now: float) -> None:
        """Remove a batch of what is old, and the next at once, a second later, while there is more."""
        if self._removal_due <= now:
            removed = await remove_old(self._database, self._retention)
            self._removal_due = now if removed.full else now + REMOVAL_SECONDS


class StatusWriter:
    """Writes the pools' status, in the one replica that leads."""

    def __init__(self, client: Client, watch: CatalogueWatch, keys: KeyRing, elector: LeaderElector, clock: Callable[[], float]) -> None:
        self._client = client.fenced(elector)
        self._watch = watch
        self._keys = keys
        self._elector = elector
        self._clock = clock

    async def run(self) -> None:
        """Wait to lead, write while leading, and again from the start when leadership was lost; cancel it."""
        while True:
            try:
                await self._elector.run(self._lead)
            except LeadershipLost as error:
                _log.info("Another replica writes the pools' status now: %s", error)
            await asyncio.sleep(STATUS_SECONDS)

    async def _lead(self) -> None:
        while True:
            for name in tuple(self._watch.pools):
                try:
                    await self._write(name)
                except KubeError as error:
                    _log.warning("The status of pool %s can't be written: %s", name, error)
            await asyncio.sleep(STATUS_SECONDS)

    async def _write(self, name: str) -> None:
        record = self._watch.pools[name]
        if record.specification is None:
            return
        records, now = self._keys.records(name), int(self._clock() * 1000)
        status = status_of(name, record.specification, record.generation, records, self._keys.sessions, record.status, now)
        wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if wanted == record.status:
            return
        patch = [{"op": "add", "path": "/status", "value": wanted}]
        patch.insert(0, {"op": "test", "path": "/metadata/resourceVersion", "value": record.resource_version})
        await self._client.json_patch(POOLS, None, name, patch, subresource="status")
