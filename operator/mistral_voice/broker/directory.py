"""What the broker knows of the cluster by its own watch: managed integrations, plans, and the labels of namespaces."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from mistral_voice.contract.names import GROUP, KIND, PLAN_KIND, PLAN_PLURAL, PLURAL, VERSION, child_name
from mistral_voice.contract.v1alpha1.plan import PlanSpecification, parse_plan
from mistral_voice.kube.client import Client
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.observed import Marks, Observed, Reader
from mistral_voice.kube.resources import NAMESPACE, Resource
from mistral_voice.kube.watch import Watch

INTEGRATIONS: Final = Resource(GROUP, VERSION, PLURAL, KIND)
PLANS: Final = Resource(GROUP, VERSION, PLAN_PLURAL, PLAN_KIND, namespaced=False)
_OLDEST_SECONDS: Final = 300.0
"""What was not heard of for longer is no ground to let anybody in."""

_log: Final = logging.getLogger(__name__)
_Record = TypeVar("_Record", bound=Observed)


class IntegrationRecord(Observed, frozen=True, kw_only=True):
    """What an integration says of itself, as far as managed mode asks."""

    mode: str = ""
    plan: str = ""
    suspend: bool = False
    models: tuple[str, ...] = ()
    """The chat models that its sessions may use."""


class PlanRecord(Observed, frozen=True, kw_only=True):
    """A plan; `specification` is None where its spec can't be used."""

    specification: PlanSpecification | None = None


class NamespaceRecord(Observed, frozen=True, kw_only=True):
    """A namespace's labels."""

    labels: Mapping[str, str] = {}


class _Named(Struct):
    name: str = ""


class _Config(Struct):
    model: str = ""


class _Policy(Struct, rename="camel"):
    allowed_models: list[str] | None = None


class _Spec(Struct, rename="camel"):
    mode: str = ""
    plan_ref: _Named | None = None
    config: _Config = msgspec.field(default_factory=_Config)
    policy: _Policy | None = None
    suspend: bool = False


class _Metadata(Struct, rename="camel"):
    name: str
    uid: str = ""
    namespace: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}


class _Integration(Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Object(Struct):
    metadata: _Metadata
    spec: Any = None


_decode_integration: Final = msgspec.json.Decoder(_Integration).decode
_decode_object: Final = msgspec.json.Decoder(_Object).decode


class DirectoryReader(Reader):
    """Makes the directory's records."""

    def __init__(self) -> None:
        super().__init__(FieldSets(), Marks("", "", "", ""))

    @staticmethod
    def metadata_only(resource: Resource) -> bool:
        """Return whether the metadata is all that is wanted: of namespaces."""
        return resource == NAMESPACE

    def read(self, resource: Resource, payload: bytes | msgspec.Raw) -> Observed:
        """Return the record of an object."""
        if resource == INTEGRATIONS:
            return _integration(_decode_integration(payload))
        found = _decode_object(payload)
        if resource == PLANS:
            return _plan(found)
        return NamespaceRecord(**_common(found.metadata), labels=found.metadata.labels)


def _common(metadata: _Metadata) -> dict[str, Any]:
    return {
        "namespace": metadata.namespace,
        "name": metadata.name,
        "uid": metadata.uid,
        "resource_version": metadata.resource_version,
        "deleting": metadata.deletion_timestamp is not None,
    }


def _integration(found: _Integration) -> IntegrationRecord:
    spec = found.spec
    further = (spec.policy.allowed_models or ()) if spec.policy else ()
    models = tuple(dict.fromkeys((spec.config.model or "mistral-medium-latest", *further)))
    plan = spec.plan_ref.name if spec.plan_ref else ""
    return IntegrationRecord(**_common(found.metadata), mode=spec.mode, plan=plan, suspend=spec.suspend, models=models)


def _plan(found: _Object) -> PlanRecord:
    specification = parse_plan(found.spec)
    if isinstance(specification, list):
        _log.warning("The plan %s can't be used: %s", found.metadata.name, specification[0].message)
        return PlanRecord(**_common(found.metadata))
    return PlanRecord(**_common(found.metadata), specification=specification)


class Directory:
    """The records of the moment. `run()` follows the API server."""

    def __init__(self, client: Client) -> None:
        reader = DirectoryReader()
        self._integrations: dict[tuple[str, str], IntegrationRecord] = {}
        self._plans: dict[str, PlanRecord] = {}
        self._namespaces: dict[str, NamespaceRecord] = {}
        self._watches = [Watch(client, resource, reader, self._changed, label_selector="") for resource in (NAMESPACE, PLANS, INTEGRATIONS)]

    async def run(self) -> None:
        """Follow the API server for ever; cancel it."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches:
                tasks.create_task(watch.run(), name=f"watch {watch.resource.plural}")

    def not_ready_because(self) -> str | None:
        """Return None once everything was listed, and what was heard is not too old to be a ground for anything."""
        for watch in self._watches:
            if not watch.synced.is_set():
                return f"The {watch.resource.plural} were not listed yet."
            if watch.age_seconds() > _OLDEST_SECONDS:
                return f"Nothing was heard of the {watch.resource.plural} for {int(watch.age_seconds())} s. {watch.problem}".rstrip()
        return None

    def of_service_account(self, namespace: str, service_account: str) -> IntegrationRecord | None:
        """Return the integration whose gateway this ServiceAccount is."""
        name = service_account.removesuffix("-voice")
        found = self._integrations.get((namespace, name))
        return found if found is not None and child_name(name) == service_account else None

    def integration(self, namespace: str, name: str) -> IntegrationRecord | None:
        """Return an integration."""
        return self._integrations.get((namespace, name))

    def plan(self, name: str) -> PlanRecord | None:
        """Return a plan."""
        return self._plans.get(name)

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """Return a namespace's labels; none if it isn't known."""
        found = self._namespaces.get(namespace)
        return found.labels if found is not None else {}

    def _changed(self, observed: Observed, deleted: bool) -> None:
        match observed:
            case IntegrationRecord():
                _note(self._integrations, (observed.namespace, observed.name), observed, deleted=deleted)
            case PlanRecord():
                _note(self._plans, observed.name, observed, deleted=deleted)
            case NamespaceRecord():
                _note(self._namespaces, observed.name, observed, deleted=deleted)


_Key = TypeVar("_Key")


def _note(records: dict[_Key, _Record], key: _Key, observed: _Record, *, deleted: bool) -> None:
    if not deleted:
        records[key] = observed
    elif key in records and records[key].uid == observed.uid:
        del records[key]
