"""What is rendered: valid Kubernetes objects, readable YAML, pods that the strictest Pod Security Standard admits."""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import create_async_engine
from yamllint import linter
from yamllint.config import YamlLintConfig

from mistral_voice.broker.metrics import BrokerMetrics
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.controlplane.plan_figures import PlanFigures
from mistral_voice.controlplane.store.database import Database, Dialect
from mistral_voice.runtime.certificate_expiry import tell_expiries
from tests.chart.rendering import (
    BROKER,
    CHART,
    CONTROL_PLANE,
    EVERYTHING,
    NAME,
    NAMESPACE,
    NARROW,
    POOLS,
    POSTGRESQL,
    Helm,
    of_kind,
    one,
    series_in,
)

KUBERNETES = ("1.32", "1.35")
"""The oldest that the chart admits, and the one that the tests run on."""
OTHERS = ("monitoring.coreos.com/", "cert-manager.io/")
CASES = pytest.mark.parametrize(
    "values", [{}, dict(EVERYTHING), dict(NARROW), dict(POSTGRESQL)], ids=["defaults", "everything", "narrow", "postgresql"]
)


def test_helm_finds_nothing_to_complain_of(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART), values=EVERYTHING)


@CASES
def test_the_rendered_yaml_is_readable(helm: Helm, values: dict[str, Any]) -> None:
    rules = "{extends: relaxed, rules: {line-length: disable, indentation: disable, commas: disable, empty-lines: {max: 1, max-end: 1}}}"
    problems = [str(problem) for problem in linter.run(helm.render(values), YamlLintConfig(rules))]
    assert problems == []


@CASES
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_fits_the_schema_of_kubernetes(helm: Helm, values: dict[str, Any], version: str) -> None:
    for item in helm.objects(values):
        if not item["apiVersion"].startswith(OTHERS):
            kubernetes_validate.validate(item, version, strict=True)


@CASES
def test_every_namespaced_object_names_its_namespace_and_release(helm: Helm, values: dict[str, Any]) -> None:
    cluster_wide = {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Namespace",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    for item in helm.objects(values):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/instance"] == "voice"
        if item["kind"] not in cluster_wide:
            assert item["metadata"]["namespace"] in {NAMESPACE, POOLS, *values.get("watchNamespaces", ())}


def test_the_crds_are_those_generated_from_the_models_and_are_kept(helm: Helm) -> None:
    generated = {
        crd["metadata"]["name"]: crd["spec"]
        for file in (CHART.parents[1] / "crds").glob("*.yaml")
        if (crd := yaml.safe_load(file.read_text()))
    }
    rendered = of_kind(helm.objects(), "CustomResourceDefinition")
    assert {crd["metadata"]["name"]: crd["spec"] for crd in rendered} == generated
    assert all(crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for crd in rendered)


def test_the_crds_can_go_with_the_release_or_be_left_to_others(helm: Helm) -> None:
    kept_out = of_kind(helm.objects({"crds": {"enabled": False}}), "CustomResourceDefinition")
    not_kept = of_kind(helm.objects({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert kept_out == []
    assert not_kept
    assert all("annotations" not in crd["metadata"] for crd in not_kept)


@CASES
def test_the_operators_pod_is_admitted_under_pod_security_restricted(helm: Helm, values: dict[str, Any]) -> None:
    pod = one(helm.objects(values), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any("hostPath" in volume for volume in pod["volumes"])


def test_a_leader_and_a_warm_follower_run_by_default_and_one_of_them_is_always_kept(helm: Helm) -> None:
    objects = helm.objects()
    assert one(objects, "Deployment")["spec"]["replicas"] == 2
    budget = one(objects, "PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_selectors_find_the_operators_pods_and_nothing_is_selected_by_a_version(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not any("version" in key or "chart" in key for key in selector)


def test_the_operators_network_policy_lets_metrics_in_and_the_api_server_dns_and_endpoints_out(helm: Helm) -> None:
    policy = one(helm.objects({**EVERYTHING, "networkPolicy": {"apiServerPorts": [6443]}}), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "ports": [{"port": "metrics", "protocol": "TCP"}],
        }
    ]
    ports = [[port["port"] for port in rule["ports"]] for rule in policy["egress"]]
    assert ports == [[53, 53], [443, 6443, 8443], [8443], [8443]]
    assert [rule["to"][0]["ipBlock"]["cidr"] for rule in policy["egress"][2:]] == ["10.1.0.0/16", "fd00::/8"]


def test_scrapes_keep_the_integrations_namespace(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    for name in (NAME, BROKER, CONTROL_PLANE):
        monitor = one(objects, "ServiceMonitor", name)["spec"]
        (endpoint,) = monitor["endpoints"]
        assert endpoint["honorLabels"] is True
        service = one(objects, "Service", name)
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    (pods,) = one(objects, "PodMonitor", f"{NAME}-gateways")["spec"]["podMetricsEndpoints"]
    assert pods["honorLabels"] is True
    assert one(objects, "PodMonitor", f"{NAME}-gateways")["spec"]["namespaceSelector"] == {"any": True}


def test_nothing_optional_is_there_by_default(helm: Helm) -> None:
    kinds = {item["kind"] for item in helm.objects()}
    assert kinds.isdisjoint({"ServiceMonitor", "PodMonitor", "PrometheusRule"})


def test_the_dashboard_is_json_that_grafana_loads_and_asks_for_series_that_are_documented(helm: Helm) -> None:
    config = one(helm.objects(EVERYTHING), "ConfigMap", f"{NAME}-dashboard")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    documented = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    for text in config["data"].values():
        dashboard = json.loads(text)
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        assert expressions
        for name in series_in(" ".join(expressions)):
            assert f"`{name}`" in documented, f"{name} is not in docs/metrics.md"


def test_brokers_and_control_plane_have_all_that_is_asked_of_them(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    boards = [json.loads(text) for text in one(objects, "ConfigMap", f"{NAME}-dashboard")["data"].values()]
    asked = [target["expr"] for board in boards for panel in board["panels"] for target in panel.get("targets", [])]
    asked += [rule["expr"] for group in one(objects, "PrometheusRule", NAME)["spec"]["groups"] for rule in group["rules"]]
    registry = CollectorRegistry()
    BrokerMetrics(registry)
    ControlPlaneMetrics(registry)
    for component in ("mistral_voice_broker", "mistral_voice_control_plane"):
        tell_expiries(component, registry, dict)
    PlanFigures(Database(create_async_engine("sqlite+aiosqlite://"), Dialect.SQLITE), Catalogue(), registry)
    there = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    of_managed_mode = {name for name in series_in(" ".join(asked)) if re.match(r"mistral_voice_(broker|control_plane)_", name)}
    assert len(of_managed_mode) > 15
    assert of_managed_mode - there == set()
