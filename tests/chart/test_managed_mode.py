"""Managed mode's own processes as the chart renders them: their pods, their rights, their certificates."""

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mistral_voice.broker.settings import parse as parse_broker
from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.contract.names import GATEWAY_NAME
from mistral_voice.controller.settings import read_file
from mistral_voice.controlplane.settings import parse as parse_control_plane
from tests.chart.rendering import BROKER, CONTROL_PLANE, EVERYTHING, NAME, NAMESPACE, NARROW, POOLS, POSTGRESQL, Helm, of_kind, one
from tests.chart.test_rights import table

MANAGED: dict[str, Any] = {"controlPlane": {"enabled": True}}


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each workload's pod, by the workload's name."""
    workloads = (*of_kind(objects, "Deployment"), *of_kind(objects, "StatefulSet"))
    return {item["metadata"]["name"]: item["spec"]["template"] for item in workloads}


def flags(objects: list[dict[str, Any]], name: str) -> list[str]:
    """The command line of a workload's one container."""
    (container,) = pods(objects)[name]["spec"]["containers"]
    return list(container["args"])


@pytest.mark.parametrize("values", [MANAGED, dict(POSTGRESQL), dict(EVERYTHING)], ids=["sqlite", "postgresql", "everything"])
def test_every_pod_is_admitted_under_pod_security_restricted(helm: Helm, values: dict[str, Any]) -> None:
    found = pods(helm.objects(values))
    assert set(found) == {NAME, BROKER, CONTROL_PLANE}
    for pod in found.values():
        assert pod["spec"]["enableServiceLinks"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_processes_understand_what_the_chart_gives_them(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    process, *rest = flags(objects, BROKER)
    broker = parse_broker(rest)
    assert process == "broker"
    assert broker.pool_namespace == POOLS
    assert broker.control_plane_url == f"https://{CONTROL_PLANE}.{NAMESPACE}.svc:8443"
    assert (broker.upstream_url, broker.any_address) == ("https://simulator:8443", True)
    process, *rest = flags(objects, CONTROL_PLANE)
    control_plane = parse_control_plane(rest)
    assert process == "control-plane"
    assert control_plane.brokers == {f"{NAMESPACE}/{BROKER}"}
    assert control_plane.database_url == "sqlite:////var/lib/mistral-voice/ledger.db"
    assert control_plane.lease_name == CONTROL_PLANE


def test_every_file_that_a_flag_names_lies_in_a_volume(helm: Helm) -> None:
    for values in (MANAGED, dict(POSTGRESQL), dict(EVERYTHING)):
        for name, pod in pods(helm.objects(values)).items():
            (container,) = pod["spec"]["containers"]
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            for flag in container["args"]:
                path = flag.partition("=")[2].removeprefix("sqlite:///")
                if path.startswith("/"):
                    assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), f"{name}: {flag}"


def test_brokers_have_the_time_to_drain_and_one_is_always_there(helm: Helm) -> None:
    objects = helm.objects(MANAGED)
    deployment = one(objects, "Deployment", BROKER)["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] == 80
    budget = one(objects, "PodDisruptionBudget", BROKER)["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert budget["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


def test_the_tokens_that_brokers_show_are_for_the_control_plane(helm: Helm) -> None:
    volumes = pods(helm.objects(MANAGED))[BROKER]["spec"]["volumes"]
    [source] = [volume["projected"]["sources"][0] for volume in volumes if "projected" in volume]
    assert source["serviceAccountToken"]["audience"] == CONTROL_PLANE_AUDIENCE


def test_sqlite_has_one_replica_on_a_volume_of_its_own_and_backups_on_another(helm: Helm) -> None:
    objects = helm.objects(
        {"controlPlane": {"enabled": True, "database": {"sqlite": {"storage": {"size": "5Gi", "storageClassName": "fast"}}}}}
    )
    workload = one(objects, "StatefulSet", CONTROL_PLANE)["spec"]
    assert workload["replicas"] == 1
    [ledger] = workload["volumeClaimTemplates"]
    assert ledger["metadata"]["name"] == "ledger"
    assert ledger["spec"]["storageClassName"] == "fast"
    assert ledger["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert workload["template"]["spec"]["securityContext"]["fsGroup"] == 65532
    [backups] = of_kind(objects, "PersistentVolumeClaim")
    assert backups["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    volumes = {volume["name"]: volume for volume in workload["template"]["spec"]["volumes"]}
    assert volumes["backups"]["persistentVolumeClaim"]["claimName"] == backups["metadata"]["name"]


def test_what_kubernetes_lets_nobody_change_bears_no_version(helm: Helm) -> None:
    for values in (MANAGED, dict(POSTGRESQL)):
        objects = helm.objects(values)
        for item in (*of_kind(objects, "Deployment"), *of_kind(objects, "StatefulSet")):
            fixed = [item["spec"]["selector"]["matchLabels"]]
            fixed += [claim["metadata"]["labels"] for claim in item["spec"].get("volumeClaimTemplates", ())]
            assert fixed[0].items() <= item["spec"]["template"]["metadata"]["labels"].items()
            assert not any("version" in key or "chart" in key for labels in fixed for key in labels)


def test_without_backups_there_is_no_volume_for_them(helm: Helm) -> None:
    objects = helm.objects({"controlPlane": {"enabled": True, "backup": {"enabled": False}}})
    assert not of_kind(objects, "PersistentVolumeClaim")
    assert "backups" not in [volume["name"] for volume in pods(objects)[CONTROL_PLANE]["spec"]["volumes"]]
    assert parse_control_plane(flags(objects, CONTROL_PLANE)[1:]).backup_directory is None


def test_backups_can_be_switched_and_their_volume_can_grow_without_a_change_that_kubernetes_refuses(helm: Helm) -> None:
    fixed = []
    for backup in ({"enabled": True}, {"enabled": False}, {"storage": {"size": "50Gi"}}):
        workload = one(helm.objects({"controlPlane": {"enabled": True, "backup": backup}}), "StatefulSet", CONTROL_PLANE)["spec"]
        fixed.append({key: value for key, value in workload.items() if key not in ("template", "replicas")})
    assert fixed[0] == fixed[1] == fixed[2]


def test_brokers_begin_anew_with_other_authorities_of_mistrals(helm: Helm) -> None:
    bundles = ["", "-----BEGIN CERTIFICATE-----\none", "-----BEGIN CERTIFICATE-----\nother", "-----BEGIN CERTIFICATE-----\nother\n"]
    rendered = [pods(helm.objects({"controlPlane": {"enabled": True}, "broker": {"mistral": {"caBundle": text}}})) for text in bundles]
    sums = [pod[BROKER]["metadata"]["annotations"].get("checksum/settings") for pod in rendered]
    assert sums[0] is None
    assert len(set(sums)) == 3


def test_retention_and_backups_are_as_the_values_say(helm: Helm) -> None:
    retention = {"sessionDays": 7, "entryDays": 800, "auditDays": 30}
    backup = {"everySeconds": 1234567, "keep": 9}
    objects = helm.objects({"controlPlane": {"enabled": True, "retention": retention, "backup": backup}})
    settings = parse_control_plane(flags(objects, CONTROL_PLANE)[1:])
    assert (settings.retention.session_days, settings.retention.entry_days, settings.retention.audit_days) == (7, 800, 30)
    assert (settings.backup_every_seconds, settings.backup_keep) == (1234567, 9)


def test_postgresql_takes_its_url_from_a_secret_and_runs_several_replicas(helm: Helm) -> None:
    objects = helm.objects(POSTGRESQL)
    assert of_kind(objects, "StatefulSet") == []
    assert one(objects, "Deployment", CONTROL_PLANE)["spec"]["replicas"] == 2
    assert one(objects, "PodDisruptionBudget", CONTROL_PLANE)["spec"]["maxUnavailable"] == 1
    settings = parse_control_plane(flags(objects, CONTROL_PLANE)[1:])
    assert settings.database_url_file == Path("/etc/mistral-voice/database/url")
    assert settings.backup_directory is None
    volumes = pods(objects)[CONTROL_PLANE]["spec"]["volumes"]
    [secret] = [volume["secret"] for volume in volumes if volume["name"] == "database"]
    assert secret == {"secretName": "ledger", "items": [{"key": "url", "path": "url"}, {"key": "ca", "path": "ca.crt"}]}


@pytest.mark.parametrize("values", [MANAGED, {**MANAGED, **NARROW}], ids=["all namespaces", "narrow"])
def test_brokers_may_read_secrets_in_the_pools_namespace_and_nowhere_else(helm: Helm, values: dict[str, Any]) -> None:
    objects = helm.objects(values)
    assert table(one(objects, "ClusterRole", BROKER)["rules"]) == {
        "authentication.k8s.io/tokenreviews": {"create"},
        "voice.contractspec.io/mistralvoiceintegrations": {"list", "watch"},
        "voice.contractspec.io/mistralvoiceplans": {"list", "watch"},
        "/namespaces": {"list", "watch"},
    }
    role = one(objects, "Role", BROKER)
    assert role["metadata"]["namespace"] == POOLS
    assert table(role["rules"]) == {"/secrets": {"get"}}
    bound = [
        (binding["kind"], binding["metadata"].get("namespace"))
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in of_kind(objects, kind)
        if binding["subjects"][0]["name"] == BROKER
    ]
    assert sorted(bound, key=str) == [("ClusterRoleBinding", None), ("RoleBinding", POOLS)]


def test_the_control_plane_may_read_no_secret(helm: Helm) -> None:
    objects = helm.objects(MANAGED)
    assert table(one(objects, "ClusterRole", CONTROL_PLANE)["rules"]) == {
        "authentication.k8s.io/tokenreviews": {"create"},
        "authorization.k8s.io/subjectaccessreviews": {"create"},
        "voice.contractspec.io/mistralvoiceplans": {"list", "watch"},
        "voice.contractspec.io/mistralkeypools": {"list", "watch"},
        "voice.contractspec.io/mistralkeypools/status": {"patch"},
    }
    role = one(objects, "Role", CONTROL_PLANE)
    assert role["metadata"]["namespace"] == NAMESPACE
    assert role["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": [CONTROL_PLANE],
            "verbs": ["get", "update", "watch"],
        },
    ]


def test_the_pools_namespace_runs_no_pods_and_outlives_the_release(helm: Helm) -> None:
    objects = helm.objects(MANAGED)
    namespace = one(objects, "Namespace", POOLS)
    assert namespace["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    quota = one(objects, "ResourceQuota", "no-pods")
    assert quota["spec"]["hard"] == {"pods": "0"}
    assert quota["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    own = helm.objects({"controlPlane": {"enabled": True, "poolNamespace": {"name": "keys", "create": False}}})
    assert of_kind(own, "Namespace") == []
    assert one(own, "Role", BROKER)["metadata"]["namespace"] == "keys"
    assert parse_broker(flags(own, BROKER)[1:]).pool_namespace == "keys"


def test_the_operator_finds_the_releases_own_brokers_and_control_plane(helm: Helm, tmp_path: Path) -> None:
    objects = helm.objects(MANAGED)
    file = tmp_path / "operator.yaml"
    file.write_text(one(objects, "ConfigMap", NAME)["data"]["operator.yaml"])
    managed = read_file(file).managed_mode
    assert managed is not None
    assert managed.control_plane is not None
    assert managed.control_plane.url == f"https://{CONTROL_PLANE}.{NAMESPACE}.svc:8443"
    assert managed.broker.url == f"https://{BROKER}.{NAMESPACE}.svc:8443"
    assert managed.broker.pod_labels.items() <= pods(objects)[BROKER]["metadata"]["labels"].items()
    for name in (BROKER, CONTROL_PLANE):
        service = one(objects, "Service", name)["spec"]
        assert service["selector"].items() <= pods(objects)[name]["metadata"]["labels"].items()
        assert [port["port"] for port in service["ports"]] == [8443, 9090]


def test_a_client_that_trusts_the_charts_authority_reaches_each_service_by_its_names(helm: Helm, tmp_path: Path) -> None:
    objects = helm.objects(MANAGED)
    for name in (BROKER, CONTROL_PLANE):
        for host in (f"{name}.{NAMESPACE}.svc", f"{name}.{NAMESPACE}.svc.cluster.local", f"{name}.{NAMESPACE}"):
            shake_hands(one(objects, "Secret", f"{name}-tls")["data"], host, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(one(objects, "Secret", f"{BROKER}-tls")["data"], f"{CONTROL_PLANE}.{NAMESPACE}.svc", tmp_path)


def test_cert_manager_makes_the_same_secrets_for_the_same_names(helm: Helm) -> None:
    objects = helm.objects(POSTGRESQL)
    assert of_kind(objects, "Secret") == []
    issuer = one(objects, "Issuer", f"{NAME}-ca")
    authority = one(objects, "Certificate", f"{NAME}-ca")["spec"]
    assert authority["isCA"] is True
    assert issuer["spec"]["ca"]["secretName"] == authority["secretName"]
    mounted = {volume["secret"]["secretName"] for pod in pods(objects).values() for volume in pod["spec"]["volumes"] if "secret" in volume}
    for name in (BROKER, CONTROL_PLANE):
        certificate = one(objects, "Certificate", name)["spec"]
        assert f"{name}.{NAMESPACE}.svc" in certificate["dnsNames"]
        assert certificate["issuerRef"] == {"name": f"{NAME}-ca", "kind": "Issuer", "group": "cert-manager.io"}
        assert certificate["secretName"] in mounted


def test_an_issuer_of_the_platforms_takes_the_place_of_the_releases(helm: Helm) -> None:
    reference = {"name": "company", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    objects = helm.objects({"controlPlane": {"enabled": True, "tls": {"source": "certManager", "certManager": {"issuerRef": reference}}}})
    assert of_kind(objects, "Issuer") == []
    assert [item["spec"]["issuerRef"] for item in of_kind(objects, "Certificate")] == [reference, reference]


def test_secrets_of_the_platforms_are_mounted_and_none_is_made(helm: Helm) -> None:
    tls = {"source": "secret", "secret": {"broker": "brokers-own", "controlPlane": "planes-own"}}
    objects = helm.objects({"controlPlane": {"enabled": True, "tls": tls}})
    assert of_kind(objects, "Secret") == []
    secrets = {
        name: {volume["name"]: volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
        for name, pod in pods(objects).items()
    }
    assert secrets == {
        NAME: {"broker-ca": "brokers-own"},
        BROKER: {"tls": "brokers-own", "control-plane-ca": "planes-own"},
        CONTROL_PLANE: {"tls": "planes-own"},
    }


def peers(rule: dict[str, Any]) -> list[dict[str, str]]:
    """The pods that a rule of a NetworkPolicy names, by component or name."""
    return [peer.get("podSelector", {}).get("matchLabels", {}) for peer in rule["from"]]


def test_gateways_alone_reach_brokers_and_nobody_but_brokers_operator_and_clients_the_control_plane(helm: Helm) -> None:
    objects = helm.objects(POSTGRESQL)
    calls, scrapes = one(objects, "NetworkPolicy", BROKER)["spec"]["ingress"]
    assert [peer.get("app.kubernetes.io/name") for peer in peers(calls)] == [GATEWAY_NAME]
    assert [port["port"] for port in (*calls["ports"], *scrapes["ports"])] == ["https", "metrics"]
    asks, scrapes = one(objects, "NetworkPolicy", CONTROL_PLANE)["spec"]["ingress"]
    assert [peer.get("app.kubernetes.io/component") for peer in peers(asks)] == ["broker", "operator", None, None]
    assert asks["from"][2:] == POSTGRESQL["controlPlane"]["clients"]
    assert [port["port"] for port in (*asks["ports"], *scrapes["ports"])] == ["https", "metrics"]
    for peer, name in zip(peers(asks)[:2], (BROKER, NAME), strict=True):
        assert peer.items() <= pods(objects)[name]["metadata"]["labels"].items()


def test_the_ways_out_are_those_that_each_needs(helm: Helm) -> None:
    def ways(values: Mapping[str, Any], name: str) -> list[list[int]]:
        return [[port["port"] for port in rule["ports"]] for rule in one(helm.objects(values), "NetworkPolicy", name)["spec"]["egress"]]

    assert ways(MANAGED, BROKER) == [[53, 53], [443, 6443], [8443]]
    assert ways(MANAGED, CONTROL_PLANE) == [[53, 53], [443, 6443]]
    assert ways(POSTGRESQL, CONTROL_PLANE) == [[53, 53], [443, 6443, 6432]]
    assert ways(MANAGED, NAME) == [[53, 53], [443, 6443, 8443]]
    to = one(helm.objects(MANAGED), "NetworkPolicy", BROKER)["spec"]["egress"][2]["to"]
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in to] == ["control-plane"]


def test_no_pod_mounts_the_authoritys_own_key(helm: Helm) -> None:
    for pod in pods(helm.objects(MANAGED)).values():
        assert not [volume for volume in pod["spec"]["volumes"] if volume.get("secret", {}).get("secretName") == f"{NAME}-ca"]


def test_long_names_leave_room_for_what_kubernetes_appends(helm: Helm) -> None:
    objects = helm.objects({**MANAGED, "fullnameOverride": "a" * 63})
    (workload,) = of_kind(objects, "StatefulSet")
    assert len(workload["metadata"]["name"]) <= 52
    for kind in ("Service", "Namespace"):
        for item in of_kind(objects, kind):
            assert len(item["metadata"]["name"]) <= 63


def test_without_a_control_plane_nothing_of_managed_mode_is_there(helm: Helm) -> None:
    assert set(pods(helm.objects())) == {NAME}
    assert of_kind(helm.objects(), "Secret") == []
    assert of_kind(helm.objects(), "Namespace") == []


def shake_hands(data: dict[str, str], host: str, folder: Path) -> None:
    """Do a TLS handshake in memory with a client as strict as Python's newest. Raises ssl.SSLCertVerificationError."""
    for key, text in data.items():
        (folder / key).write_bytes(base64.b64decode(text))
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=host), server.wrap_bio(up, down, server_side=True)]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
