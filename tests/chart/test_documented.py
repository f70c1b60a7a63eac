"""What the documents tell platform teams to install: each example is accepted as it stands, and what commands name is there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Helm
from tests.cluster import ApiServer, api_server
from tests.support.crds import wait_for_crds

DOCS = Path(__file__).parents[2] / "docs"
SYSTEM = "mistral-voice-system"
RELEASE = "mistral-voice-operator"


def examples(document: str) -> list[dict[str, Any]]:
    """The YAML examples of a document."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (DOCS / document).read_text(), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


def commands(document: str) -> str:
    """The shell's examples of a document, without backslashes at line ends."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", (DOCS / document).read_text(), re.MULTILINE | re.DOTALL)
    return "".join(blocks).replace("\\\n", "")


OBJECTS = [item for item in examples("managed-mode.md") if "apiVersion" in item]
VALUES = [item for document in ("managed-mode.md", "install.md") for item in examples(document) if "apiVersion" not in item]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The release of the documents, with the values that they begin with."""
    values = tmp_path_factory.mktemp("documented") / "values.yaml"
    values.write_text(yaml.safe_dump(examples("managed-mode.md")[0]))
    with api_server() as cluster:
        for namespace in ("support", "sales"):
            cluster.kubectl("create", "namespace", namespace)
        (line,) = re.findall(r"helm upgrade --install mistral-voice-operator (.*)", commands("managed-mode.md"))
        arguments = line.replace("charts/mistral-voice-operator", str(CHART), 1).replace("values.yaml", str(values)).split()
        cluster.helm("upgrade", "--install", RELEASE, *arguments)
        wait_for_crds(cluster)
        cluster.kubectl("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")
        cluster.kubectl("create", "serviceaccount", "default", "--namespace", SYSTEM)
        yield cluster


@pytest.mark.parametrize("example", OBJECTS, ids=lambda example: example["kind"])
def test_the_api_server_accepts_the_resources_as_they_are_documented(installed: ApiServer, example: dict[str, Any]) -> None:
    answer = installed.kubectl("apply", "--dry-run=server", "--filename", "-", stdin=json.dumps(example))
    assert answer.stderr == ""


@pytest.mark.parametrize("values", VALUES, ids="-".join)
def test_the_chart_accepts_the_values_as_they_are_documented(helm: Helm, values: dict[str, Any]) -> None:
    assert helm.objects(values)


def test_what_the_commands_name_is_what_the_release_is_made_of(installed: ApiServer) -> None:
    text = commands("managed-mode.md")
    named = set(re.findall(r"-n (\S+) \S.*?\b(statefulset|deployment|service)/(\S+)", text))
    named |= {(namespace, "secret", name) for namespace, name in re.findall(r"-n (\S+) get secret (\S+)", text)}
    assert {kind for namespace, kind, _ in named if namespace == SYSTEM} == {"statefulset", "deployment", "service", "secret"}
    # What teams have in their own namespaces is made by them and by the operator.
    for namespace, kind, name in {entry for entry in named if entry[0] == SYSTEM}:
        installed.kubectl("get", kind, name, "--namespace", namespace)
    for namespace in set(re.findall(r"-n (\S+) create secret", text)):
        installed.kubectl("get", "namespace", namespace)


def test_the_claims_that_a_restoration_mounts_are_those_of_the_control_plane(installed: ApiServer) -> None:
    (restore,) = [item for item in OBJECTS if item["kind"] == "Pod"]
    mounted = {volume["persistentVolumeClaim"]["claimName"] for volume in restore["spec"]["volumes"]}
    answer = installed.kubectl("get", "statefulset", f"{RELEASE}-control-plane", "--namespace", SYSTEM, "--output", "json").stdout
    workload = json.loads(answer)
    made = {f"{claim['metadata']['name']}-{workload['metadata']['name']}-0" for claim in workload["spec"]["volumeClaimTemplates"]}
    named = [
        volume["persistentVolumeClaim"] for volume in workload["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert mounted == made | {claim["claimName"] for claim in named}
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (restoring,) = restore["spec"]["containers"]
    assert {mount["name"]: mount["mountPath"] for mount in restoring["volumeMounts"]}.items() <= paths.items()


def test_the_operator_of_the_documented_install_can_read_no_key_of_the_pools(installed: ApiServer) -> None:
    whoever = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
    question = ("auth", "can-i", "get", "secrets", "--namespace", f"{RELEASE}-pools", "--as", whoever)
    assert installed.kubectl(*question, check=False).stdout.strip() == "no"
