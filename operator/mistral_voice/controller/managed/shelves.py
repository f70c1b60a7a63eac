"""Plans, pools and namespaces by name, kept current by watches. Whoever is concerned by a change is told by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from mistral_voice.contract.v1alpha1.plan import PlanSpecification, parse_plan
from mistral_voice.controller.managed.facts import PlanFacts, Platform, PoolFacts
from mistral_voice.controller.managed.reader import PLAN, POOL, ObservedResource, PlatformReader
from mistral_voice.kube.client import Client
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.resources import NAMESPACE, Resource
from mistral_voice.kube.watch import Watch, Watches

_NAME_LABEL: Final = "kubernetes.io/metadata.name"


class Concerned(Protocol):
    """Told of what changed in its meaning."""

    def plan_changed(self, name: str) -> None:
        """A plan says something else, is new, or is gone; or its pool has keys in use where it had none, or the reverse."""

    def namespace_changed(self, name: str) -> None:
        """A namespace bears other labels."""


@dataclass(frozen=True)
class ShelvedPlan:
    """A plan with what is needed to write its status."""

    facts: PlanFacts
    observed: ObservedResource


class Shelves:
    """What the watches last told. `platform` puts together what concerns one integration."""

    def __init__(self, concerned: Concerned) -> None:
        self._concerned = concerned
        self._plans: dict[str, ShelvedPlan] = {}
        self._pools: dict[str, tuple[str, PoolFacts]] = {}
        self._labels: dict[str, tuple[str, Mapping[str, str]]] = {}

    def watches(self, client: Client) -> Watches:
        """Return the watches that keep the shelves current."""
        reader = PlatformReader()
        return Watches(Watch(client, kind, reader, partial(self.take, kind), label_selector="") for kind in (PLAN, POOL, NAMESPACE))

    def take(self, kind: Resource, observed: Observed, deleted: bool) -> None:
        """Take in what a watch says of an object of a kind: what it is now, or that it is gone."""
        if isinstance(observed, ObservedResource):
            {PLAN: self._take_plan, POOL: self._take_pool, NAMESPACE: self._take_namespace}[kind](observed, deleted)

    def plan(self, name: str) -> ShelvedPlan | None:
        """Return a plan, or None if there is none of this name."""
        return self._plans.get(name)

    def plans(self) -> tuple[str, ...]:
        """Return the names of all plans."""
        return tuple(self._plans)

    def specifications(self) -> dict[str, PlanSpecification]:
        """Return all plans that can be read, by name."""
        return {name: plan.facts.spec for name, plan in self._plans.items() if plan.facts.spec is not None}

    def plans_of(self, pool: str) -> tuple[str, ...]:
        """Return the names of the plans that a pool serves."""
        return tuple(name for name, plan in self._plans.items() if plan.facts.spec is not None and plan.facts.spec.pool_ref.name == pool)

    def pool_of(self, plan: PlanFacts) -> PoolFacts | None:
        """Return the pool that serves a plan, or None if it does not exist."""
        found = self._pools.get(plan.spec.pool_ref.name) if plan.spec is not None else None
        return None if found is None else found[1]

    def platform(self, namespace: str, plan: str, ca_bundle: str | None) -> Platform:
        """Return what concerns an integration of a namespace that claims a plan."""
        shelved = self._plans.get(plan)
        facts = None if shelved is None else shelved.facts
        # A namespace may be younger than its watch's last word; its name the API server vouches for.
        labels = self._labels[namespace][1] if namespace in self._labels else {_NAME_LABEL: namespace}
        return Platform(facts, None if facts is None else self.pool_of(facts), labels, ca_bundle)

    def _take_plan(self, observed: ObservedResource, deleted: bool) -> None:
        former = self._plans.get(observed.name)
        if deleted:
            if former is not None and former.observed.uid == observed.uid:
                del self._plans[observed.name]
                self._concerned.plan_changed(observed.name)
            return
        same = former is not None and former.observed.uid == observed.uid and former.observed.spec == observed.spec
        facts = former.facts if same and former is not None else _plan_facts(observed)
        self._plans[observed.name] = ShelvedPlan(facts, observed)
        if not same:
            self._concerned.plan_changed(observed.name)

    def _take_pool(self, observed: ObservedResource, deleted: bool) -> None:
        uid, facts = self._pools.get(observed.name, ("", None))
        if deleted:
            if uid == observed.uid:
                del self._pools[observed.name]
                self._pool_changed(observed.name)
            return
        found = PoolFacts(observed.name, _active_keys(observed.decoded_status()))
        self._pools[observed.name] = (observed.uid, found)
        if facts is None or _serves(facts) is not _serves(found):
            self._pool_changed(observed.name)

    def _pool_changed(self, name: str) -> None:
        for plan in self.plans_of(name):
            self._concerned.plan_changed(plan)

    def _take_namespace(self, observed: ObservedResource, deleted: bool) -> None:
        uid, labels = self._labels.get(observed.name, ("", None))
        if deleted:
            if uid == observed.uid:
                del self._labels[observed.name]
            return
        self._labels[observed.name] = (observed.uid, observed.labels)
        if labels != observed.labels:
            self._concerned.namespace_changed(observed.name)


def _plan_facts(observed: ObservedResource) -> PlanFacts:
    parsed = parse_plan(observed.decoded_spec())
    if isinstance(parsed, PlanSpecification):
        return PlanFacts(observed.name, parsed)
    return PlanFacts(observed.name, None, f"{parsed[0].path}: {parsed[0].message}")


def _active_keys(status: Any) -> int | None:
    count = status.get("activeKeys") if isinstance(status, Mapping) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _serves(pool: PoolFacts) -> bool | None:
    return None if pool.active_keys is None else pool.active_keys > 0
