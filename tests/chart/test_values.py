"""Values: what the chart refuses, in which words, and that the operator understands what it is given."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.controller.settings import PRIVATE_NETWORKS, BrokerSettings, OperatorFile, read_file
from tests.chart.rendering import CA_BUNDLE, CHART, EVERYTHING, NAME, NAMESPACE, NARROW, Helm, RenderingFailed, one


def refusal(helm: Helm, values: dict[str, Any]) -> str:
    with pytest.raises(RenderingFailed) as refused:
        helm.render(values)
    return refused.value.text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replica": 3}, "at '': additional properties 'replica' not allowed"),
        ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
        ({"endpoints": [{"name": "a", "url": "https://a", "ca": "x"}]}, "at '/endpoints/0': additional properties 'ca' not allowed"),
        ({"metrics": {"serviceMonitor": {"enable": True}}}, "at '/metrics/serviceMonitor': additional properties 'enable' not allowed"),
        ({"logLevel": "loud"}, "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"gateway": {"tracing": {"endpoint": "collector:4318"}}}, "at '/gateway/tracing/endpoint'"),
        ({"gateway": {"nodeGraceSeconds": 1}}, "at '/gateway/nodeGraceSeconds': minimum: got 1, want 5"),
        ({"rolloutPace": 0}, "at '/rolloutPace': minimum: got 0, want 1"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"watchNamespaces": ["Not_A_Namespace"]}, "at '/watchNamespaces/0': 'Not_A_Namespace' does not match pattern"),
        ({"endpoints": []}, "at '/endpoints': minItems: got 0, want 1"),
        ({"image": {"digest": "md5:1"}}, "at '/image/digest': 'md5:1' does not match pattern"),
        ({"gatewayNetworkPolicy": {"blockedCidrs": ["everything"]}}, "at '/gatewayNetworkPolicy/blockedCidrs/0'"),
        ({"image": {"registry": "https://r.example.com"}}, "at '/image/registry'"),
        ({"endpoints": [{"name": "a", "url": "https://a", "caBundle": "/etc/ca.pem"}]}, "at '/endpoints/0/caBundle'"),
        ({"managedMode": {"broker": {"url": "http://broker"}}}, "at '/managedMode/broker/url'"),
        ({"managedMode": {"broker": {"podPort": 0}}}, "at '/managedMode/broker/podPort': minimum: got 0, want 1"),
        ({"controlPlane": {"replicas": 2}}, "at '/controlPlane': additional properties 'replicas' not allowed"),
        (
            {"controlPlane": {"database": {"type": "mysql"}}},
            "at '/controlPlane/database/type': value must be one of 'sqlite', 'postgresql'",
        ),
        ({"controlPlane": {"backup": {"everySeconds": 1}}}, "at '/controlPlane/backup/everySeconds': minimum: got 1, want 60"),
        ({"controlPlane": {"clients": [{}]}}, "at '/controlPlane/clients/0': minProperties: got 0, want 1"),
        ({"broker": {"mistral": {"url": "http://mistral"}}}, "at '/broker/mistral/url'"),
        ({"endpoints": None}, "at '': missing property 'endpoints'"),
        ({"crds": {"keep": None}}, "at '/crds': missing property 'keep'"),
        ({"resources": {"requests": {"cpu": "abc"}}}, "at '/resources/requests/cpu': 'abc' does not match pattern"),
        ({"resources": {"limits": {"memory": "1 GB"}}}, "at '/resources/limits/memory': '1 GB' does not match pattern"),
        ({"resources": {"limits": {"cpu": -1}}}, "at '/resources/limits/cpu': minimum: got -1, want 0"),
        ({"resources": {"requests": {"mem": "1Gi"}}}, "at '/resources/requests': additional properties 'mem' not allowed"),
    ],
)
def test_a_value_that_is_unknown_or_of_the_wrong_kind_is_refused(helm: Helm, values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(helm, values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"endpoints": [{"name": "default", "url": "http://mistral"}]},
            'endpoints: the url of "default" is "http://mistral". It has to be https://HOST or https://HOST:PORT, without path, ',
        ),
        ({"endpoints": [{"name": "default", "url": "https://api.mistral.ai/v1"}]}, "without path, query or credentials"),
        ({"endpoints": [{"name": "default", "url": "https://me:secret@api.mistral.ai"}]}, "without path, query or credentials"),
        (
            {"endpoints": [{"name": "a", "url": "https://a"}, {"name": "a", "url": "https://b"}]},
            'endpoints: two are called "a". Give each a name of its own.',
        ),
        ({"leaderElection": {"enabled": False}}, "leaderElection.enabled is false and replicas is more than 1: all of them would write."),
        ({"leaderElection": {"renewDeadlineSeconds": 15}}, "renewDeadlineSeconds, and that less than leaseDurationSeconds"),
        ({"managedMode": {"broker": {"caBundle": {"configMap": "a", "secret": "b"}}}}, "names a ConfigMap and a Secret. Leave one"),
        ({"managedMode": {"enabled": True}}, "managedMode.enabled is true and there is no broker: set controlPlane.enabled to install"),
        (
            {"controlPlane": {"enabled": True, "tls": {"source": "secret", "secret": {"broker": "b"}}}},
            "controlPlane.tls.secret.controlPlane is needed",
        ),
        (
            {"controlPlane": {"enabled": True, "database": {"type": "postgresql"}}},
            "controlPlane.database.postgresql.secretRef.name is needed",
        ),
        ({"controlPlane": {"enabled": True, "poolNamespace": {"name": NAMESPACE}}}, "Mistral's keys need one that holds nothing else."),
        (
            {"controlPlane": {"enabled": True, "poolNamespace": {"name": "team-a"}}, "watchNamespaces": ["team-a"]},
            'controlPlane.poolNamespace.name is "team-a", which is the release\'s own namespace or one of watchNamespaces.',
        ),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed where serviceAccount.create is false"),
    ],
)
def test_values_that_contradict_each_other_are_refused_in_a_sentence(helm: Helm, values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(helm, values)


def test_the_schema_admits_nothing_that_it_does_not_name() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    free = {
        "/properties/global",
        *(f"/$defs/affinity/properties/{kind}" for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity")),
    }

    def open_objects(node: Any, path: str) -> list[str]:
        if isinstance(node, list):
            return [found for number, item in enumerate(node) for found in open_objects(item, f"{path}/{number}")]
        if not isinstance(node, dict):
            return []
        here = [path] if node.get("type") == "object" and "additionalProperties" not in node and path not in free else []
        return here + [found for key, item in node.items() for found in open_objects(item, f"{path}/{key}")]

    assert open_objects(schema, "") == []


@pytest.mark.parametrize("quantity", ["100m", "0.5", ".5", 2, 0.25, "512Mi", "1.5Gi", "128974848"])
def test_quantities_are_written_as_kubernetes_takes_them(helm: Helm, quantity: str | float) -> None:
    resources = {"requests": {"cpu": quantity, "ephemeral-storage": quantity}, "limits": {"example.com/nic": quantity}}
    container = one(helm.objects({"resources": resources}), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["cpu"] == quantity


def test_null_takes_away_what_may_be_left_out_and_nothing_else(helm: Helm, tmp_path: Path) -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    needed, optional = set[str](), dict[str, Any]()

    def sort(values: dict[str, Any], node: dict[str, Any], place: str, nulled: dict[str, Any]) -> None:
        for key, value in values.items():
            if key not in node.get("required", []):
                nulled[key] = None
            else:
                needed.add(f"{place}{key}")
                if isinstance(value, dict) and value:
                    sort(value, node["properties"][key], f"{place}{key}.", nulled.setdefault(key, {}))

    sort(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "", optional)
    assert {"endpoints", "replicas", "image.repository", "crds.keep", "rbac.create", "metrics.serviceMonitor.interval"} <= needed
    assert {"resources", "tolerations", "watchNamespaces", "priorityClassName"} <= set(optional)
    assert settings_file(helm, tmp_path, optional) == settings_file(helm, tmp_path, None)


def test_every_default_is_in_the_schema_and_every_key_of_the_schema_has_a_default() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}


def settings_file(helm: Helm, tmp_path: Path, values: dict[str, Any] | None) -> OperatorFile:
    config = one(helm.objects(values), "ConfigMap")["data"]["operator.yaml"]
    file = tmp_path / "operator.yaml"
    file.write_text(config)
    return read_file(file)


def test_the_operator_reads_the_default_settings_as_its_own_defaults(helm: Helm, tmp_path: Path) -> None:
    settings = settings_file(helm, tmp_path, None)
    assert settings.image == "mistral-voice-operator:0.1.0"
    assert [str(network) for network in settings.network_policy.blocked_cidrs] == list(PRIVATE_NETWORKS)
    assert settings.network_policy.monitoring_namespace_selector == {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert settings.leader_election.lease_name == NAME
    own = OperatorFile(image=settings.image)
    chosen_by_the_chart = {"network_policy", "leader_election"}
    assert settings.model_dump(exclude=chosen_by_the_chart) == own.model_dump(exclude=chosen_by_the_chart)


def test_the_operator_reads_all_that_can_be_set(helm: Helm, tmp_path: Path) -> None:
    values = {
        **EVERYTHING,
        **NARROW,
        "defaultVoice": "voice_592",
        "clusterDomain": "example.internal",
        "rolloutPace": 3,
        "gateway": {
            "maxMessageBytes": 16_777_216,
            "nodeGraceSeconds": 25,
            "tracing": {"endpoint": "http://collector:4318", "egress": [{"cidr": "10.2.0.0/16", "ports": [4318]}]},
        },
        "workers": 7,
        "probe": {"maxConcurrent": 5},
        "logLevel": "debug",
        "monitoringNamespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
    }
    settings = settings_file(helm, tmp_path, values)
    assert settings.watch_namespaces == ("team-a", "team-b")
    assert (settings.default_voice, settings.cluster_domain, settings.rollout_pace) == ("voice_592", "example.internal", 3)
    assert (settings.workers, settings.probe.max_concurrent, settings.log_level) == (7, 5, "debug")
    assert settings.network_policy.monitoring_namespace_selector == {"matchExpressions": [{"key": "team", "operator": "Exists"}]}
    assert (settings.gateway.max_message_bytes, settings.gateway.node_grace_seconds) == (16_777_216, 25)
    assert settings.gateway.tracing.endpoint == "http://collector:4318"
    assert [(str(rule.cidr), rule.ports) for rule in settings.gateway.tracing.egress] == [("10.2.0.0/16", (4318,))]
    inside = settings.endpoints[1]
    assert inside.ca_bundle == CA_BUNDLE
    assert [(str(rule.cidr), rule.ports) for rule in inside.egress] == [("10.1.0.0/16", (8443,)), ("fd00::/8", ())]


def broker_of(helm: Helm, tmp_path: Path, **broker: Any) -> BrokerSettings:
    installed = settings_file(helm, tmp_path, {"controlPlane": {"enabled": True}, "managedMode": {"broker": broker}}).managed_mode
    assert installed is not None
    return installed.broker


def test_managed_mode_leads_to_the_releases_own_broker_if_nothing_else_is_said(helm: Helm, tmp_path: Path) -> None:
    broker = broker_of(helm, tmp_path)
    assert (broker.url, broker.namespace, broker.pod_port) == (f"https://{NAME}-broker.{NAMESPACE}.svc:8443", NAMESPACE, 8443)
    assert broker.pod_labels["app.kubernetes.io/component"] == "broker"
    assert settings_file(helm, tmp_path, None).managed_mode is None


def test_usage_is_asked_of_a_control_plane_that_is_named_and_of_no_other(helm: Helm, tmp_path: Path) -> None:
    elsewhere = {"enabled": True, "broker": {"url": "https://broker.example.com"}}
    values = {"managedMode": {**elsewhere, "controlPlane": {"url": "https://control.example.com:8443"}}}
    installed = settings_file(helm, tmp_path, values).managed_mode
    assert installed is not None
    assert installed.control_plane is not None
    assert installed.control_plane.url == "https://control.example.com:8443"
    pod = one(helm.objects(values), "Deployment", NAME)["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "control-plane-token"]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == CONTROL_PLANE_AUDIENCE
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "control-plane-token"]
    assert str(installed.control_plane.token_file) == f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    bare = settings_file(helm, tmp_path, {"managedMode": elsewhere}).managed_mode
    assert bare is not None
    assert bare.control_plane is None


def test_managed_mode_leads_to_a_broker_elsewhere(helm: Helm, tmp_path: Path) -> None:
    broker = broker_of(helm, tmp_path, url="https://broker.example.com", namespace="platform", podLabels={"app": "b"}, podPort=9443)
    assert (broker.url, broker.namespace, broker.pod_port) == ("https://broker.example.com", "platform", 9443)
    assert broker.pod_labels == {"app": "b"}


@pytest.mark.parametrize(
    ("bundle", "source"),
    [
        ({}, {"secret": {"secretName": f"{NAME}-broker-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
        ({"secret": "mine", "key": "tls-ca"}, {"secret": {"secretName": "mine", "items": [{"key": "tls-ca", "path": "ca.crt"}]}}),
        ({"configMap": "roots"}, {"configMap": {"name": "roots", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
    ],
)
def test_of_the_brokers_certificate_the_authorities_alone_are_mounted(
    helm: Helm, tmp_path: Path, bundle: dict[str, str], source: dict[str, Any]
) -> None:
    values = {"controlPlane": {"enabled": True}, "managedMode": {"broker": {"caBundle": bundle}}}
    pod = one(helm.objects(values), "Deployment", NAME)["spec"]["template"]["spec"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "broker-ca"]
    assert {key: value for key, value in volume.items() if key != "name"} == source
    [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "broker-ca"]
    assert broker_of(helm, tmp_path, caBundle=bundle).ca_bundle_file == Path(mount["mountPath"]) / "ca.crt"


@pytest.mark.parametrize(
    ("values", "operator", "gateway"),
    [
        ({}, "mistral-voice-operator:0.1.0", "mistral-voice-operator:0.1.0"),
        (
            {"image": {"registry": "r.example.com", "repository": "voice/operator", "tag": "2"}},
            "r.example.com/voice/operator:2",
            "r.example.com/voice/operator:2",
        ),
        (
            {"image": {"registry": "r.example.com", "digest": f"sha256:{'a' * 64}"}},
            f"r.example.com/mistral-voice-operator@sha256:{'a' * 64}",
            f"r.example.com/mistral-voice-operator@sha256:{'a' * 64}",
        ),
        (
            {"image": {"registry": "r.example.com", "digest": f"sha256:{'a' * 64}"}, "gateway": {"image": {"tag": "3"}}},
            f"r.example.com/mistral-voice-operator@sha256:{'a' * 64}",
            "r.example.com/mistral-voice-operator:3",
        ),
        ({"gateway": {"image": {"repository": "gateway"}}}, "mistral-voice-operator:0.1.0", "gateway:0.1.0"),
    ],
)
def test_images_are_named_as_asked_and_no_registry_is_assumed(
    helm: Helm, tmp_path: Path, values: dict[str, Any], operator: str, gateway: str
) -> None:
    deployment = one(helm.objects(values), "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == operator
    assert settings_file(helm, tmp_path, values).image == gateway


def test_other_settings_roll_the_operator(helm: Helm) -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = one(helm.objects(values), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    assert checksum({}) == checksum({"podDisruptionBudget": {"enabled": False}})
    assert checksum({}) != checksum({"rolloutPace": 11})
