"""The operator's rights, held against a table: whoever adds one adds it here, with a reason."""

from typing import Any

import pytest

from tests.chart.rendering import NAME, NAMESPACE, NARROW, Helm, of_kind, one

CHILD = frozenset({"get", "list", "watch", "create", "patch", "delete"})
RIGHTS = {
    # The resource itself: watched; finalizers for owner references that block deletion.
    "voice.contractspec.io/mistralvoiceintegrations": {"get", "list", "watch"},
    "voice.contractspec.io/mistralvoiceintegrations/status": {"update"},
    "voice.contractspec.io/mistralvoiceintegrations/finalizers": {"update"},
    # A tenant's key is read by name; the client token is made. Never listed, never watched.
    "/secrets": {"get", "create", "patch", "delete"},
    # Children.
    "/configmaps": CHILD,
    "/serviceaccounts": CHILD,
    "/services": CHILD,
    "apps/deployments": CHILD,
    "policy/poddisruptionbudgets": CHILD,
    "autoscaling/horizontalpodautoscalers": CHILD,
    "networking.k8s.io/ingresses": CHILD,
    "networking.k8s.io/networkpolicies": CHILD,
    "gateway.networking.k8s.io/httproutes": CHILD,
    # Why a roll-out is stuck.
    "/pods": {"list"},
    # What changed, for people.
    "events.k8s.io/events": {"create", "patch"},
}


def table(rules: list[dict[str, Any]]) -> dict[str, set[str]]:
    rights: dict[str, set[str]] = {}
    for rule in rules:
        assert "resourceNames" not in rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                rights.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return rights


def test_the_operator_has_exactly_the_rights_of_the_table(helm: Helm) -> None:
    assert table(one(helm.objects(), "ClusterRole")["rules"]) == {resource: set(verbs) for resource, verbs in RIGHTS.items()}


def test_no_right_is_a_wildcard_and_secrets_are_never_listed_or_watched(helm: Helm) -> None:
    for values in ({}, dict(NARROW)):
        for role in (*of_kind(helm.objects(values), "ClusterRole"), *of_kind(helm.objects(values), "Role")):
            for rule in role["rules"]:
                assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
                if "secrets" in rule["resources"]:
                    assert not {"list", "watch", "deletecollection", "update"} & set(rule["verbs"])


def test_a_narrow_install_has_these_rights_in_its_namespaces_only(helm: Helm) -> None:
    objects = helm.objects(NARROW)
    operators = [role for role in of_kind(objects, "ClusterRole") if role["metadata"]["name"] == NAME]
    assert operators == []
    assert of_kind(objects, "ClusterRoleBinding") == []
    roles = {role["metadata"]["namespace"]: table(role["rules"]) for role in of_kind(objects, "Role") if role["metadata"]["name"] == NAME}
    assert roles == {namespace: {resource: set(verbs) for resource, verbs in RIGHTS.items()} for namespace in NARROW["watchNamespaces"]}
    for binding in of_kind(objects, "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]


def test_managed_mode_adds_rights_on_what_belongs_to_no_namespace(helm: Helm) -> None:
    for values in ({}, dict(NARROW)):
        objects = helm.objects({**values, "controlPlane": {"enabled": True}})
        assert table(one(objects, "ClusterRole", f"{NAME}-managed-mode")["rules"]) == {
            "voice.contractspec.io/mistralvoiceplans": {"get", "list", "watch"},
            "voice.contractspec.io/mistralvoiceplans/status": {"update"},
            "voice.contractspec.io/mistralvoiceplans/usage": {"get"},
            "voice.contractspec.io/mistralkeypools": {"get", "list", "watch"},
            "/namespaces": {"get", "list", "watch"},
        }
        binding = one(objects, "ClusterRoleBinding", f"{NAME}-managed-mode")
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]


def test_plans_and_pools_are_seen_by_the_clusters_viewers_and_changed_by_its_administrators(helm: Helm) -> None:
    rights = {role: table(one(helm.objects(), "ClusterRole", f"{NAME}-{role}")["rules"]) for role in ("view", "edit", "admin")}
    assert rights["view"]["voice.contractspec.io/mistralvoiceplans/usage"] == {"get", "list", "watch"}
    for plural in ("mistralvoiceplans", "mistralkeypools"):
        assert rights["view"][f"voice.contractspec.io/{plural}"] == {"get", "list", "watch"}
        assert f"voice.contractspec.io/{plural}" not in rights["edit"]
        assert {"create", "update", "patch", "delete"} <= rights["admin"][f"voice.contractspec.io/{plural}"]


def test_the_lease_is_the_only_one_that_the_operator_may_change(helm: Helm) -> None:
    role = one(helm.objects({"leaderElection": {"leaseName": "mine"}}), "Role", f"{NAME}-leader-election")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert role["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["mine"], "verbs": ["get", "update", "watch"]},
    ]


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("view", {"get", "list", "watch"}),
        ("edit", {"create", "update", "patch", "delete", "deletecollection"}),
        ("admin", {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}),
    ],
)
def test_the_clusters_own_roles_take_the_integrations_up(helm: Helm, role: str, verbs: set[str]) -> None:
    aggregated = one(helm.objects(), "ClusterRole", f"{NAME}-{role}")
    assert aggregated["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
    rights = table(aggregated["rules"])
    assert rights["voice.contractspec.io/mistralvoiceintegrations"] == verbs
    assert not any("/secrets" in resource for resource in rights)


def test_without_rbac_no_role_is_made(helm: Helm) -> None:
    objects = helm.objects({"rbac": {"create": False, "aggregateClusterRoles": False}})
    assert [item for item in objects if item["apiVersion"].startswith("rbac.authorization.k8s.io")] == []
