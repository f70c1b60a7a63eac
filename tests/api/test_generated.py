"""Ten thousand generated integrations: the operator and the API server agree on what is valid, and nothing is ever half-applied.

`GENERATED=500` makes it fewer, for a short run.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.integration import parse_spec, valid_name
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.controller.operator import CHILD_KINDS
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.access import load_access
from mistral_voice.kube.errors import NotFound
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import HTTP_ROUTE, SECRET
from tests.api.dry_run import dry_run
from tests.api.generated import integrations
from tests.api.operating import Operating, operation
from tests.cluster import ApiServer
from tests.support.crds import install_crds
from tests.support.waiting import eventually

COUNT = int(os.environ.get("GENERATED", "10000"))
REALLY_MADE = 300
NO_TIME = ("did not answer within", "(429 ", "(503 ", "(504 ")
"""What is said of an API server that is too busy: a visit that fails so is made again, and says nothing of what was visited."""
_PER_DRAW = 10
_STATUS_TIMEOUT_SECONDS = 240.0

Generated = tuple[str, Any]


@pytest.fixture(scope="module")
def generated() -> list[Generated]:
    """The integrations, each once, the same ones in every run."""
    found: dict[str, Generated] = {}

    @settings(
        max_examples=COUNT // _PER_DRAW * 4,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(integrations(_PER_DRAW))
    def collect(drawn: list[Generated]) -> None:
        if len(found) < COUNT:
            found.update((json.dumps(one, sort_keys=True), one) for one in drawn)

    collect()
    assert len(found) >= COUNT, f"only {len(found)} different ones"
    return list(found.values())[:COUNT]


async def test_the_api_server_and_the_operator_agree_on_what_is_valid(
    cluster: ApiServer, namespace: str, generated: list[Generated]
) -> None:
    install_crds(cluster)
    bodies = [_body(name, namespace, spec) for name, spec in generated]
    answers = await dry_run(await load_access(cluster.kubeconfig), INTEGRATION, namespace, bodies)
    verdicts: Counter[bool] = Counter()
    disagreements = []
    for (name, spec), (status, answer) in zip(generated, answers, strict=True):
        accepted = status == 201
        verdicts[accepted] += 1
        assert accepted or status in (400, 422), f"{status} for {name} {spec}: {answer}"
        if accepted and not _is_valid(name, answer.get("spec")):
            disagreements.append(f"accepted, but the operator says {parse_spec(answer.get('spec'))}: {name} {answer.get('spec')}")
        if not accepted and _is_valid(name, spec) and not _reads_floats(spec):
            disagreements.append(f"the operator takes it, but the API server says {answer['message']}: {name} {spec}")
    assert not disagreements, f"{len(disagreements)} disagreements:\n" + "\n".join(text[:1500] for text in disagreements[:10])
    assert min(verdicts[True], verdicts[False]) > COUNT // 10, f"too one-sided to say much: {verdicts}"


async def test_each_generated_integration_has_all_its_children_or_none(
    cluster: ApiServer, tmp_path: Path, generated: list[Generated]
) -> None:
    async with operation(cluster, tmp_path, logLevel="warning") as whole:
        at = await whole.in_new_namespace()
        await at.put_key()
        specs = [spec for name, spec in generated[: COUNT // 4] if _is_valid(name, spec) and not _reads_floats(spec)]
        made = await _make(at, _largest_first(specs)[: 2 * REALLY_MADE : 2])
        settled = await eventually(lambda: _settled(at, len(made)), "all statuses", _STATUS_TIMEOUT_SECONDS, 0.5)
        children = await _children(at)
        for body in settled:
            name = body["metadata"]["name"]
            assert children.get(name, set()) == _wanted(body), f"{name}: {json.dumps(body, indent=1)}\n{at.operator.log[-2000:]}"
        assert await at.operator.ready()
        failed = [line["message"] for line in at.operator.log_lines() if line["message"].startswith("Processing ")]
        assert [message for message in failed if not any(words in message for words in NO_TIME)] == []


def _is_valid(name: str, spec: Any) -> bool:
    return valid_name(name) and isinstance(parse_spec(spec), IntegrationSpecification)


def _reads_floats(spec: Any) -> bool:
    """Tell whether a number such as 1.0 stands where a CEL rule compares, or where the scale subresource reads.

    The API server takes it for a whole number everywhere else.
    """
    gateway = spec.get("gateway") or {}
    read = [(gateway.get("autoscaling") or {}).get(field) for field in ("minReplicas", "maxReplicas")]
    return any(isinstance(number, float) for number in (*read, gateway.get("replicas")))


def _body(name: str, namespace: str, spec: Any) -> KubeObject:
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _largest_first(specs: Sequence[KubeObject]) -> list[KubeObject]:
    """Return the specs in this order: the largest have most to get wrong."""
    return sorted(specs, key=lambda spec: len(json.dumps(spec)), reverse=True)


async def _make(at: Operating, specs: Sequence[KubeObject]) -> list[KubeObject]:
    made = []
    for number, spec in enumerate(specs):
        # Most shall get as far as a Deployment, and that takes a key that is there and an endpoint on the list.
        whole = {**spec, "secretRef": {"name": "mistral"}} if spec["mode"] == "byok" and number % 5 else spec
        whole = {key: value for key, value in whole.items() if key != "endpoint" or number % 5 == 0}
        made.append(await at.client.create(INTEGRATION, at.namespace, _body(f"generated-{number}", at.namespace, whole)))
    return made


async def _settled(at: Operating, count: int) -> list[KubeObject]:
    assert at.operator.process.returncode is None, at.operator.log[-4000:]
    found = await at.client.list_all(INTEGRATION, at.namespace)
    done = [body for body in found if body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]]
    return done if len(done) == count else []


async def _children(at: Operating) -> dict[str, set[str]]:
    """Return the kinds of each integration's children."""
    present: dict[str, set[str]] = {}
    for resource in (*CHILD_KINDS, SECRET):
        try:
            objects = await at.client.list_all(resource, at.namespace, metadata_only=True)
        except NotFound:
            assert resource == HTTP_ROUTE, resource
            continue
        for body in objects:
            owner = body["metadata"].get("labels", {}).get(names.INTEGRATION_LABEL)
            if owner is not None:
                present.setdefault(owner, set()).add(resource.kind)
    return present


def _wanted(body: KubeObject) -> set[str]:
    """Return the kinds that an integration wants by what its own status says of it."""
    spec, conditions = body["spec"], {entry["type"]: entry["status"] for entry in body["status"]["conditions"]}
    if spec["mode"] == "managed" or conditions["ConfigValid"] != "True":
        return set()
    gateway = spec["gateway"]
    kinds = {"ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "PodDisruptionBudget"}
    if conditions["CredentialResolved"] == "True":
        kinds |= {"Deployment"} | ({"HorizontalPodAutoscaler"} if "autoscaling" in gateway else set())
    if "tokenSecretRef" not in gateway.get("auth", {}):
        kinds.add("Secret")
    exposed = gateway.get("expose", {})  # Without the Gateway API in the cluster, an HTTPRoute is not valid.
    return kinds | ({"Ingress"} if "ingress" in exposed else set()) | ({"HTTPRoute"} if "httpRoute" in exposed else set())
