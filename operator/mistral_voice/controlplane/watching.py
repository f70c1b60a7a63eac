"""Plans and pools as the API server has them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from mistral_voice.contract.names import GROUP, PLAN_KIND, PLAN_PLURAL, POOL_KIND, POOL_PLURAL, VERSION
from mistral_voice.contract.v1alpha1.plan import PlanSpecification, parse_plan
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification, parse_pool
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.kube.client import Client
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.observed import Marks, Observed, Reader
from mistral_voice.kube.resources import Resource
from mistral_voice.kube.watch import Watch

PLANS: Final = Resource(GROUP, VERSION, PLAN_PLURAL, PLAN_KIND, namespaced=False)
POOLS: Final = Resource(GROUP, VERSION, POOL_PLURAL, POOL_KIND, namespaced=False)

_log: Final = logging.getLogger(__name__)


class PlanRecord(Observed, frozen=True, kw_only=True):
    """A plan; `specification` is None where its spec can't be used."""

    specification: PlanSpecification | None = None


class PoolRecord(Observed, frozen=True, kw_only=True):
    """A pool; `specification` is None where its spec can't be used."""

    specification: KeyPoolSpecification | None = None
    generation: int = 0
    status: Any = None


class _Metadata(Struct, rename="camel"):
    name: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None


class _Object(Struct):
    metadata: _Metadata
    spec: Any = None
    status: Any = None


_decode: Final = msgspec.json.Decoder(_Object).decode


class CatalogueReader(Reader):
    """Makes the records of plans and pools."""

    def __init__(self) -> None:
        super().__init__(FieldSets(), Marks("", "", "", ""))

    @staticmethod
    def metadata_only(resource: Resource) -> bool:  # noqa: ARG004 - the whole object is wanted of both kinds
        """Return False: their specs are what is wanted."""
        return False

    def read(self, resource: Resource, payload: bytes | msgspec.Raw) -> Observed:
        """Return the record of a plan or pool."""
        found = _decode(payload)
        metadata = found.metadata
        common: dict[str, Any] = {
            "namespace": "",
            "name": metadata.name,
            "uid": metadata.uid,
            "resource_version": metadata.resource_version,
            "deleting": metadata.deletion_timestamp is not None,
        }
        if resource == PLANS:
            plan = parse_plan(found.spec)
            return PlanRecord(**common, specification=None if isinstance(plan, list) else plan)
        pool = parse_pool(found.spec)
        specification = None if isinstance(pool, list) else pool
        return PoolRecord(**common, specification=specification, generation=metadata.generation, status=found.status)


class CatalogueWatch:
    """Feeds a catalogue from the API server, and tells `changed` of it. What can't be parsed stays as it was before."""

    def __init__(self, client: Client, catalogue: Catalogue, changed: Callable[[], None]) -> None:
        self._catalogue = catalogue
        self._tell = changed
        self.pools: dict[str, PoolRecord] = {}
        reader = CatalogueReader()
        self._watches = [Watch(client, resource, reader, self._changed, label_selector="") for resource in (PLANS, POOLS)]

    async def run(self) -> None:
        """Follow the API server for ever; cancel it."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches:
                tasks.create_task(watch.run(), name=f"watch {watch.resource.plural}")

    def not_ready_because(self) -> str | None:
        """Return None once plans and pools were listed."""
        missing = [watch.resource.plural for watch in self._watches if not watch.synced.is_set()]
        return f"These were not listed yet: {', '.join(missing)}." if missing else None

    def _changed(self, observed: Observed, deleted: bool) -> None:
        match observed:
            case PlanRecord(specification=spec):
                if deleted:
                    self._catalogue.remove_plan(observed.name)
                elif spec is not None:
                    self._catalogue.set_plan(observed.name, spec)
            case PoolRecord(specification=spec):
                if deleted:
                    self.pools.pop(observed.name, None)
                    self._catalogue.remove_pool(observed.name)
                elif spec is not None:
                    self.pools[observed.name] = observed
                    self._catalogue.set_pool(observed.name, spec)
        if not deleted and getattr(observed, "specification", None) is None:
            _log.warning("%s can't be used as it stands; what was known of it before stays.", observed.name)
        self._tell()
