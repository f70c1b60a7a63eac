"""Every child, as a real API server's schema has it."""

import json
from ipaddress import IPv4Network
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given as generated
from hypothesis import settings
from hypothesis import strategies as st

from mistral_voice.contract import gateway_config, names
from mistral_voice.controller.build import Desired, build, without_rollout
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.input import DeploymentState, Input
from mistral_voice.controller.settings import EgressRule, Endpoint
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Resource,
)
from tests.unit.controller.given import ENDPOINT_WITH_CA, MISSING, RUNNING, known, operator_file

KUBERNETES = "1.35"

EVERYTHING: dict[str, Any] = {
    "config": {
        "model": "mistral-small-latest",
        "defaultVoice": "voice_592",
        "turnDetection": "push_to_talk",
        "maxSessionDurationSeconds": 60,
    },
    "secretRef": {"name": "keys", "key": "mistral"},
    "policy": {"allowedModels": ["mistral-large-4"], "allowedVoices": ["default", "voice_1"], "instructions": "Be kind."},
    "gateway": {
        "replicas": 1,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 5},
        "resources": {"limits": {"memory": "128Mi"}},
        "tls": {"secretRef": {"name": "cert"}},
        "expose": {
            "httpRoute": {
                "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
                "hostnames": ["voice.example.com"],
            },
            "ingress": {"className": "traefik", "host": "voice.example.org", "tlsSecretRef": {"name": "cert"}},
        },
        "template": {
            "labels": {"team": "support"},
            "annotations": {"note": "hello"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "voice", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
            "affinity": {
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}
            },
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
            ],
            "priorityClassName": "high",
            "imagePullSecrets": [{"name": "pull"}],
        },
    },
}


def desired(state: Input) -> Desired:
    return build(state, valid=valid(check(state)))


def child(state: Input, resource: Resource) -> KubeObject:
    return next(item.body for item in desired(state).objects if item.resource == resource)


def kinds(state: Input) -> list[Resource]:
    return [item.resource for item in desired(state).objects]


def container(state: Input) -> KubeObject:
    first: KubeObject = child(state, DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]
    return first


@pytest.mark.parametrize("spec", [{}, EVERYTHING, {"suspend": True}], ids=["minimal", "everything", "suspended"])
def test_every_child_fits_the_api_servers_schema(spec: dict[str, Any]) -> None:
    for item in desired(known(spec=spec)).objects:
        if item.resource == HTTP_ROUTE:
            continue  # A custom resource: its schema is the Gateway API's.
        # Owner references are added where children are applied.
        kubernetes_validate.validate(item.body, KUBERNETES, strict=True)


def test_minimal_integration_wants_the_children_that_every_one_has_in_the_order_in_which_pods_need_them() -> None:
    assert kinds(known()) == [SERVICE_ACCOUNT, CONFIG_MAP, SECRET, NETWORK_POLICY, DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET]


def test_asked_for_children_are_added() -> None:
    assert {HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, INGRESS} <= set(kinds(known(spec=EVERYTHING)))


def test_children_are_named_and_labelled_after_the_integration() -> None:
    for item in desired(known(spec=EVERYTHING)).objects:
        metadata = item.body["metadata"]
        assert metadata["name"] == ("support-voice-token" if item.resource == SECRET else "support-voice")
        assert metadata["namespace"] == "team-a"
        assert metadata["labels"][names.INTEGRATION_LABEL] == "support"
        assert metadata["labels"][names.MANAGED_BY_LABEL] == "mistral-voice-operator"


def test_same_input_gives_the_same_bytes() -> None:
    def rendered(state: Input) -> list[str]:
        return [json.dumps(item.body) for item in desired(state).objects]

    assert rendered(known(spec=EVERYTHING)) == rendered(known(spec=EVERYTHING))


def test_pods_meet_pod_security_restricted() -> None:
    pod = child(known(), DEPLOYMENT)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container(known())["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
    assert child(known(), SERVICE_ACCOUNT)["automountServiceAccountToken"] is False


def test_rollout_takes_no_pod_before_its_successor_is_ready() -> None:
    strategy = child(known(), DEPLOYMENT)["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize(
    ("spec", "grace"),
    [
        ({}, 570),
        ({"config": {"maxSessionDurationSeconds": 60}}, 90),
        ({"config": {"maxSessionDurationSeconds": 3600}}, 570),
        ({"gateway": {"drainTimeoutSeconds": 0}}, 30),
        ({"gateway": {"drainTimeoutSeconds": 1200}}, 1230),
    ],
)
def test_grace_period_is_the_drain_and_thirty_seconds(spec: dict[str, Any], grace: int) -> None:
    state = known(spec=spec)
    assert child(state, DEPLOYMENT)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == grace
    assert config(state).limits.drain_timeout_seconds == grace - 30


def config(state: Input) -> gateway_config.GatewayConfig:
    return gateway_config.decode(child(state, CONFIG_MAP)["data"]["gateway.json"].encode())


def test_gateway_is_told_the_configuration_with_default_voices_resolved() -> None:
    told = config(known(spec={**EVERYTHING, "config": {"model": "mistral-small-latest"}}))
    assert told.integration == gateway_config.Integration("team-a", "support", "byok")
    assert told.session == gateway_config.SessionDefaults("mistral-small-latest", "voice_478", "server_vad", 600)
    assert told.policy.allowed_voices == ("voice_478", "voice_1")
    assert told.upstream.base_url == "https://api.mistral.ai"
    assert told.upstream.credential_file == "/etc/mistral-voice/credential/apiKey"
    assert told.tls_directory == "/etc/mistral-voice/tls"


def test_changed_configuration_rolls_out_and_an_unrelated_change_does_not() -> None:
    def template(spec: dict[str, Any]) -> KubeObject:
        body: KubeObject = child(known(spec=spec), DEPLOYMENT)["spec"]["template"]
        return body

    assert template({"config": {"model": "other"}})["metadata"] != template({})["metadata"]
    assert template({"healthCheck": {"intervalSeconds": 60}}) == template({})
    assert template({"gateway": {"replicas": 3}}) == template({})


def test_endpoints_own_authorities_are_mounted_beside_the_configuration() -> None:
    state = known(operator=operator_file(endpoints=(ENDPOINT_WITH_CA,)))
    assert child(state, CONFIG_MAP)["data"]["ca.crt"] == ENDPOINT_WITH_CA.ca_bundle
    assert config(state).upstream.ca_bundle_file == "/etc/mistral-voice/config/ca.crt"
    assert config(known()).upstream.ca_bundle_file is None


def test_key_is_mounted_as_a_directory_and_must_exist() -> None:
    state = known(spec=EVERYTHING)
    volumes = {volume["name"]: volume for volume in child(state, DEPLOYMENT)["spec"]["template"]["spec"]["volumes"]}
    assert volumes["credential"]["secret"]["secretName"] == "keys"
    assert volumes["credential"]["secret"]["items"] == [{"key": "mistral", "path": "apiKey"}]
    assert "optional" not in volumes["credential"]["secret"]
    mounts = {mount["name"]: mount for mount in container(state)["volumeMounts"]}
    assert mounts["credential"]["mountPath"] == "/etc/mistral-voice/credential"
    assert all("subPath" not in mount and mount["readOnly"] for mount in mounts.values())


def test_former_token_may_be_absent_and_the_token_may_not() -> None:
    volumes = child(known(), DEPLOYMENT)["spec"]["template"]["spec"]["volumes"]
    token, former = next(volume["projected"]["sources"] for volume in volumes if volume["name"] == "client-token")
    assert token == {"secret": {"name": "support-voice-token", "items": [{"key": "token", "path": "token"}]}}
    assert former["secret"]["optional"] is True


def test_own_token_secret_is_mounted_and_none_is_made() -> None:
    state = known(spec={"gateway": {"auth": {"tokenSecretRef": {"name": "mine"}}}})
    assert SECRET not in kinds(state)
    volumes = child(state, DEPLOYMENT)["spec"]["template"]["spec"]["volumes"]
    assert {source["secret"]["name"] for volume in volumes for source in volume.get("projected", {}).get("sources", ())} == {"mine"}


def test_requests_have_defaults_and_no_cpu_limit() -> None:
    assert container(known())["resources"] == {"requests": {"cpu": "100m", "memory": "192Mi"}}


def test_default_request_never_exceeds_a_given_limit() -> None:
    given = container(known(spec=EVERYTHING))["resources"]
    assert given == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}}


def test_pods_spread_over_nodes_unless_told_otherwise() -> None:
    [constraint] = child(known(), DEPLOYMENT)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (constraint["topologyKey"], constraint["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    [given] = child(known(spec=EVERYTHING), DEPLOYMENT)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert given["topologyKey"] == "topology.kubernetes.io/zone"
    assert given["labelSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "support"


def test_labels_of_the_template_never_replace_ours() -> None:
    labels = child(known(spec=EVERYTHING), DEPLOYMENT)["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "support"
    assert labels[names.NAME_LABEL] == names.GATEWAY_NAME


AUTOSCALED: dict[str, Any] = {"gateway": {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}}


@pytest.mark.parametrize(
    ("spec", "present", "replicas"),
    [
        ({"gateway": {"replicas": 3}}, None, 3),
        ({"gateway": {"replicas": 3}}, DeploymentState(wanted_replicas=7, replicas_owned_by_other=True), 3),
        ({"gateway": {"replicas": 0}}, RUNNING, 0),
        (AUTOSCALED, None, 2),
        (AUTOSCALED, DeploymentState(wanted_replicas=4), 4),
        (AUTOSCALED, DeploymentState(wanted_replicas=4, replicas_owned_by_other=True), None),
        (AUTOSCALED, DeploymentState(wanted_replicas=0, replicas_owned_by_other=True), 2),
        ({**AUTOSCALED, "suspend": True}, DeploymentState(wanted_replicas=4, replicas_owned_by_other=True), 0),
        ({"gateway": {"replicas": 3}, "suspend": True}, RUNNING, 0),
    ],
    ids=[
        "fixed",
        "scaled by hand comes back",
        "zero is a number",
        "autoscaling begins at the minimum",
        "kept until the autoscaler owns it",
        "let go once the autoscaler owns it",
        "resumed: an autoscaler leaves a target of 0 alone",
        "suspended with autoscaling",
        "suspended",
    ],
)
def test_replicas(spec: dict[str, Any], present: DeploymentState | None, replicas: int | None) -> None:
    assert child(known(spec=spec, deployment=present), DEPLOYMENT)["spec"].get("replicas") == replicas


def test_autoscaler_aims_at_seventy_percent_of_a_pods_sessions_by_the_gateways_metric() -> None:
    spec = child(known(spec=AUTOSCALED), HORIZONTAL_POD_AUTOSCALER)["spec"]
    assert spec["metrics"][0]["pods"]["metric"]["name"] == "mistral_voice_gateway_sessions"
    assert spec["metrics"][0]["pods"]["target"]["averageValue"] == "70"
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)


def test_budget_lets_one_pod_go_and_never_holds_up_a_broken_one() -> None:
    spec = child(known(), POD_DISRUPTION_BUDGET)["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_clients_reach_pods_from_anywhere_and_metrics_only_from_monitoring() -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    operator = operator_file(network_policy=operator_file().network_policy.model_copy(update={"monitoring_namespace_selector": selector}))
    clients, scrapes = child(known(operator=operator), NETWORK_POLICY)["spec"]["ingress"]
    assert clients == {"ports": [{"protocol": "TCP", "port": 8080}]}
    assert scrapes == {"from": [{"namespaceSelector": selector}], "ports": [{"protocol": "TCP", "port": 9090}]}


def test_pods_reach_https_everywhere_but_in_private_ranges_and_what_the_endpoint_adds() -> None:
    endpoint = Endpoint(
        name="default", url="https://mistral.internal:8443", egress=(EgressRule(cidr=IPv4Network("10.9.0.0/16"), ports=(8443,)),)
    )
    dns, https, added = child(known(operator=operator_file(endpoints=(endpoint,))), NETWORK_POLICY)["spec"]["egress"]
    assert {(port["protocol"], port["port"]) for port in dns["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert https["ports"] == [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 8443}]
    v4, v6 = (peer["ipBlock"] for peer in https["to"])
    assert v4["cidr"] == "0.0.0.0/0"
    assert {"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16"} <= set(v4["except"])
    assert (v6["cidr"], v6["except"]) == ("::/0", ["fc00::/7", "fe80::/10"])
    assert added == {"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 8443}]}


@pytest.mark.parametrize(("url", "port"), [("https://mistral.internal:8443", 8443), ("https://mistral.internal", 443)])
def test_range_that_names_no_ports_is_reached_at_the_endpoints_own(url: str, port: int) -> None:
    endpoint = Endpoint(name="default", url=url, egress=(EgressRule(cidr=IPv4Network("10.9.0.0/16")),))
    added = child(known(operator=operator_file(endpoints=(endpoint,))), NETWORK_POLICY)["spec"]["egress"][-1]
    assert added["ports"] == [{"protocol": "TCP", "port": port}]


def test_last_words_of_a_gateway_that_does_not_start_come_to_its_status() -> None:
    assert container(known())["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_no_policy_where_the_administrator_wants_none() -> None:
    off = operator_file(network_policy=operator_file().network_policy.model_copy(update={"enabled": False}))
    assert NETWORK_POLICY not in kinds(known(operator=off))


def test_routes_lead_everything_under_the_host_to_the_service() -> None:
    state = known(spec=EVERYTHING)
    route = child(state, HTTP_ROUTE)["spec"]
    assert route["parentRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "infra", "sectionName": "https"}
    ]
    assert route["rules"][0]["backendRefs"][0]["name"] == "support-voice"
    ingress = child(state, INGRESS)["spec"]
    assert ingress["ingressClassName"] == "traefik"
    assert ingress["tls"] == [{"hosts": ["voice.example.org"], "secretName": "cert"}]


def test_invalid_configuration_changes_nothing() -> None:
    assert desired(known(spec={"endpoint": "nowhere"})) == Desired(hold=True)
    assert desired(known(spec=None)) == Desired(hold=True)


def test_deployment_waits_for_a_secret_that_resolves() -> None:
    first = known(credential=MISSING, deployment=None)
    assert DEPLOYMENT not in kinds(first)
    assert SERVICE in kinds(first)
    assert DEPLOYMENT in desired(first).kept


def test_absence_of_a_secret_that_resolved_once_changes_nothing() -> None:
    later = known(credential=MISSING, previous={"credential": {"source": "Secret/mistral"}})
    assert kinds(later) == kinds(known())


def test_reference_to_another_key_that_does_not_resolve_leaves_the_gateway_as_it_is() -> None:
    renamed = known(spec={"secretRef": {"name": "other"}}, credential=MISSING, previous={"credential": {"source": "Secret/mistral"}})
    assert desired(renamed) == Desired(hold=True)


def test_rollout_that_waits_for_its_turn_keeps_deployment_configuration_and_the_way_to_the_endpoint() -> None:
    waiting = without_rollout(desired(known()))
    assert waiting.kept == frozenset({CONFIG_MAP, NETWORK_POLICY, DEPLOYMENT})
    assert {child.resource for child in waiting.objects} & waiting.kept == set()
    assert SERVICE in {child.resource for child in waiting.objects}


def test_secret_among_the_children_holds_no_value() -> None:
    assert "data" not in child(known(), SECRET)
    assert "stringData" not in child(known(), SECRET)


@generated(
    model=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,40}", fullmatch=True), text=st.text(max_size=50), replicas=st.integers(0, 100)
)
@settings(max_examples=50, deadline=None)
def test_any_valid_configuration_builds(model: str, text: str, replicas: int) -> None:
    state = known(spec={"config": {"model": model}, "policy": {"instructions": text}, "gateway": {"replicas": replicas}})
    assert config(state).session.model == model
    assert config(state).policy.instructions == text
