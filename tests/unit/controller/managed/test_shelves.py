"""What the watches tell of plans, pools and namespaces, and who is told of it."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from mistral_voice.controller.managed.facts import Platform
from mistral_voice.controller.managed.reader import PLAN, POOL, ObservedResource, PlatformReader
from mistral_voice.controller.managed.shelves import Shelves
from mistral_voice.kube.resources import NAMESPACE, Resource
from tests.unit.contract.v1alpha1.plans import plan_spec, pool_spec

NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass
class Told:
    """Keeps the names of what changed."""

    names: list[str] = field(default_factory=list)

    def plan_changed(self, name: str) -> None:
        self.names.append(f"plan {name}")

    def namespace_changed(self, name: str) -> None:
        self.names.append(f"namespace {name}")

    def since(self) -> list[str]:
        names, self.names = self.names, []
        return names


@dataclass
class World:
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.shelves = Shelves(self.told)

    def says(self, kind: Resource, name: str, *, uid: str = "u1", deleted: bool = False, **parts: Any) -> list[str]:
        """Have a watch tell of an object; return who was told."""
        labels = parts.pop("labels", {})
        body = {"metadata": {"name": name, "uid": uid, "resourceVersion": "1", "labels": labels}, **parts}
        self.shelves.take(kind, read(kind, body), deleted)
        return self.told.since()

    def platform(self) -> Platform:
        return self.shelves.platform("support", "standard", None)


def read(kind: Resource, body: Any) -> ObservedResource:
    return PlatformReader().read(kind, msgspec.json.encode(body))


@pytest.fixture
def world() -> World:
    return World()


def test_a_plan_and_its_pool_are_put_together_for_who_claims_it(world: World) -> None:
    assert world.says(PLAN, "standard", spec=plan_spec()) == ["plan standard"]
    assert world.platform().pool is None
    assert world.says(POOL, "main", spec=pool_spec(), status={"activeKeys": 2}) == ["plan standard"]
    around = world.platform()
    assert around.granted is not None, "the API server vouches for a namespace's name"
    assert around.pool is not None
    assert around.pool.active_keys == 2
    assert world.shelves.platform("sales", "standard", None).granted is None


def test_a_plans_own_status_is_no_news_but_its_spec_is(world: World) -> None:
    world.says(PLAN, "standard", spec=plan_spec())
    assert world.says(PLAN, "standard", spec=plan_spec(), status={"conditions": []}) == []
    assert world.says(PLAN, "standard", spec=plan_spec(stopPolicy="Hold")) == ["plan standard"]


def test_of_a_pool_only_whether_it_serves_is_news(world: World) -> None:
    world.says(PLAN, "standard", spec=plan_spec())
    world.says(PLAN, "other", spec=plan_spec(poolRef={"name": "another"}))
    news = ["plan standard"]
    assert world.says(POOL, "main", spec=pool_spec()) == news
    assert world.says(POOL, "main", spec=pool_spec(), status={"activeKeys": 0}) == news
    assert world.says(POOL, "main", spec=pool_spec(), status={"activeKeys": 3}) == news
    assert world.says(POOL, "main", spec=pool_spec(), status={"activeKeys": 1}) == []
    assert world.says(POOL, "main", deleted=True) == news


@pytest.mark.parametrize("status", [{}, {"activeKeys": None}, {"activeKeys": "3"}, {"activeKeys": True}, [], None])
def test_a_status_that_says_nothing_of_keys_leaves_them_unknown(world: World, status: Any) -> None:
    world.says(PLAN, "standard", spec=plan_spec())
    world.says(POOL, "main", spec=pool_spec(), status=status)
    pool = world.platform().pool
    assert pool is not None
    assert pool.active_keys is None


def test_a_successor_of_the_same_name_outlives_the_late_word_of_the_formers_end(world: World) -> None:
    for kind, name, spec in ((PLAN, "standard", plan_spec()), (POOL, "main", pool_spec())):
        world.says(kind, name, uid="old", spec=spec)
        world.says(kind, name, uid="new", spec=spec)
        assert world.says(kind, name, uid="old", deleted=True) == []
    assert world.platform().granted is not None
    assert world.platform().pool is not None


def test_a_plan_that_is_gone_is_news(world: World) -> None:
    world.says(PLAN, "standard", spec=plan_spec())
    assert world.says(PLAN, "standard", deleted=True) == ["plan standard"]
    assert world.platform().plan is None


def test_a_plan_that_can_not_be_read_says_where(world: World) -> None:
    world.says(PLAN, "standard", spec=plan_spec(limits=None))
    plan = world.platform().plan
    assert plan is not None
    assert (plan.spec, plan.fault) == (None, "spec.limits: Field required")


def test_labels_of_a_namespace_count_and_their_change_is_news(world: World) -> None:
    world.says(PLAN, "standard", spec=plan_spec(namespaceSelector={"matchLabels": {"tier": "gold"}}))
    assert world.platform().granted is None
    assert world.says(NAMESPACE, "support", labels={NAME_LABEL: "support", "tier": "gold"}) == ["namespace support"]
    assert world.platform().granted is not None
    assert world.says(NAMESPACE, "support", labels={NAME_LABEL: "support", "tier": "gold"}) == []
    assert world.says(NAMESPACE, "support", labels={NAME_LABEL: "support"}) == ["namespace support"]
    assert world.platform().granted is None


def test_of_namespaces_the_metadata_alone_is_asked_for() -> None:
    assert [PlatformReader().metadata_only(kind) for kind in (PLAN, POOL, NAMESPACE)] == [False, False, True]
