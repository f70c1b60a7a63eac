"""Generated plans and pools: the API server and the models agree on what is valid, so a broker or ledger can read whatever is stored.

`GENERATED=500` makes it fewer, for a short run.
"""

import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from mistral_voice.contract import names
from mistral_voice.contract.crd import plan_crd, pool_crd
from mistral_voice.contract.v1alpha1.plan import parse_plan
from mistral_voice.contract.v1alpha1.pool import parse_pool
from mistral_voice.controller.managed.reader import PLAN, POOL
from mistral_voice.kube.access import load_access
from mistral_voice.kube.resources import Resource
from tests.api.dry_run import dry_run
from tests.api.generated import changed
from tests.cluster import ApiServer
from tests.support.crds import install_crds
from tests.unit.contract.v1alpha1.plans import plan_spec, pool_spec

COUNT = int(os.environ.get("GENERATED", "10000")) // 10


@pytest.fixture(scope="module", autouse=True)
def _crds(cluster: ApiServer) -> None:
    install_crds(cluster)


def schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def whole_plan() -> dict[str, Any]:
    """Return a plan with every field set, so that each is changed at some time."""
    limits = {"concurrentSessions": 3, "sessionSecondsPerPeriod": 60, "spendPerPeriod": "1.5"}
    selector = {"matchLabels": {"tier": "gold"}, "matchExpressions": [{"key": "a.b/c", "operator": "In", "values": ["x"]}]}
    return plan_spec(
        namespaceSelector=selector,
        models={"chat": ["mistral-medium-latest"], "transcription": ["hears"], "speech": ["speaks"]},
        voices=["voice_1"],
        period="Day",
        limits=limits,
        perIntegration=limits,
        total=limits,
        stopPolicy="Hold",
        enforcement="Shadow",
        quantumSeconds=10,
        offlineGraceSeconds=0,
    )


@pytest.mark.parametrize(
    ("kind", "crd", "whole", "parse"),
    [(PLAN, plan_crd(), whole_plan(), parse_plan), (POOL, pool_crd(), pool_spec(region="EU"), parse_pool)],
    ids=["plans", "pools"],
)
async def test_the_api_server_and_the_model_agree_on_what_is_valid(
    cluster: ApiServer, kind: Resource, crd: dict[str, Any], whole: dict[str, Any], parse: Callable[[Any], Any]
) -> None:
    chance, schema = Random(20261122), schema_of(crd)
    specs = []
    for _ in range(COUNT):
        spec: Any = whole
        for _ in range(chance.choice((1, 1, 2))):
            spec = changed(chance, spec, schema)
        specs.append(spec)
    verdicts: Counter[bool] = Counter()
    disagreements = []
    bodies = [{"apiVersion": names.API_VERSION, "kind": kind.kind, "metadata": {"name": "generated"}, "spec": spec} for spec in specs]
    for spec, (status, answer) in zip(specs, await dry_run(await load_access(cluster.kubeconfig), kind, None, bodies), strict=True):
        accepted = status == 201
        verdicts[accepted] += 1
        assert accepted or status in (400, 422), f"{status} for {spec}: {answer}"
        if accepted and isinstance(faults := parse(answer.get("spec")), list):
            disagreements.append(f"accepted, but the model says {faults}: {answer.get('spec')}")
        if not accepted and not isinstance(parse(spec), list):
            disagreements.append(f"the model takes it, but the API server says {answer['message']}: {spec}")
    assert not disagreements, f"{len(disagreements)} disagreements:\n" + "\n".join(text[:1500] for text in disagreements[:10])
    assert min(verdicts[True], verdicts[False]) > COUNT // 20, f"too one-sided to say much: {verdicts}"
