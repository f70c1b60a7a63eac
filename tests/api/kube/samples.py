"""One object of each kind that an operator builds, with most of what its fields can hold."""

from mistral_voice.kube import resources
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import Resource

_LABELS = {"app.kubernetes.io/name": "sample", "tier": "gateway"}
_SELECTOR = {"matchLabels": {"app.kubernetes.io/name": "sample"}}

HTTP_ROUTE_CRD: KubeObject = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "httproutes.gateway.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2997"},
    },
    "spec": {
        "group": "gateway.networking.k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "HTTPRoute", "listKind": "HTTPRouteList", "plural": "httproutes", "singular": "httproute"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    list_name: {
                                        "type": "array",
                                        "x-kubernetes-list-type": "atomic",
                                        "items": {"type": "string"}
                                        if list_name == "hostnames"
                                        else {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    }
                                    for list_name in ("parentRefs", "hostnames", "rules")
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}
"""Gateway API's HTTPRoute as far as server-side apply sees it: all lists of its spec are atomic."""


def _object(resource: Resource, namespace: str, name: str, **body: object) -> KubeObject:
    metadata = {"name": name, "namespace": namespace, "labels": dict(_LABELS), "annotations": {"example.com/note": "as built"}}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}


def service_account(namespace: str, name: str = "sample") -> KubeObject:
    return _object(resources.SERVICE_ACCOUNT, namespace, name, automountServiceAccountToken=False, imagePullSecrets=[{"name": "pull"}])


def config_map(namespace: str, name: str = "sample") -> KubeObject:
    return _object(resources.CONFIG_MAP, namespace, name, data={"gateway.json": "{}", "ca.crt": "-"}, binaryData={"raw": "AAEC"})


def secret(namespace: str, name: str = "sample") -> KubeObject:
    return _object(resources.SECRET, namespace, name, type="Opaque", data={"token": "dG9rZW4="})


def service(namespace: str, name: str = "sample") -> KubeObject:
    spec = {
        "type": "ClusterIP",
        "selector": dict(_LABELS),
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/ws"},
            {"name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": 9090},
        ],
    }
    return _object(resources.SERVICE, namespace, name, spec=spec)


def _container(name: str) -> KubeObject:
    return {
        "name": name,
        "image": "localhost/sample:1",
        "imagePullPolicy": "IfNotPresent",
        "args": ["gateway", "--verbose"],
        "env": [
            {"name": "PLAIN", "value": "1"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"containerName": name, "resource": "limits.cpu", "divisor": "1m"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
            {"name": "SETTING", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "setting"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "more"}}],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 10090, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "metrics"}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 9090, "httpHeaders": [{"name": "X", "value": "y"}]}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/config", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}],
    }


def deployment(namespace: str, name: str = "sample") -> KubeObject:
    pod = {
        "serviceAccountName": "sample",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 570,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "init", "image": "localhost/init:1"}],
        "containers": [_container("gateway")],
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "priorityClassName": "system-node-critical",
        "tolerations": [{"key": "voice", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
                ],
            },
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": _SELECTOR}}
                ]
            },
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": _SELECTOR},
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": _SELECTOR},
        ],
        "volumes": [
            {"name": "config", "configMap": {"name": "c", "items": [{"key": "gateway.json", "path": "gateway.json"}]}},
            {"name": "credential", "secret": {"secretName": "s", "items": [{"key": "k", "path": "apiKey"}], "defaultMode": 288}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "broker", "path": "token"}}]}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    spec = {
        "replicas": 2,
        "minReadySeconds": 1,
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 2,
        "selector": _SELECTOR,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": dict(_LABELS), "annotations": {"example.com/config-hash": "1"}}, "spec": pod},
    }
    return _object(resources.DEPLOYMENT, namespace, name, spec=spec)


def pod_disruption_budget(namespace: str, name: str = "sample") -> KubeObject:
    spec = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": _SELECTOR}
    return _object(resources.POD_DISRUPTION_BUDGET, namespace, name, spec=spec)


def horizontal_pod_autoscaler(namespace: str, name: str = "sample") -> KubeObject:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1,
        "maxReplicas": 5,
        "metrics": [
            {"type": "Pods", "pods": {"metric": {"name": "sessions"}, "target": {"type": "AverageValue", "averageValue": "8"}}},
        ],
        "behavior": {
            "scaleDown": {"stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            "scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
        },
    }
    return _object(resources.HORIZONTAL_POD_AUTOSCALER, namespace, name, spec=spec)


def network_policy(namespace: str, name: str = "sample") -> KubeObject:
    spec = {
        "podSelector": _SELECTOR,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}]}, {"from": [{"namespaceSelector": {}}], "ports": [{"port": 9090}]}],
        "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443, "protocol": "TCP"}]}],
    }
    return _object(resources.NETWORK_POLICY, namespace, name, spec=spec)


def ingress(namespace: str, name: str = "sample") -> KubeObject:
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    spec = {
        "ingressClassName": "nginx",
        "defaultBackend": backend,
        "rules": [{"host": "voice.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        "tls": [{"hosts": ["voice.example.com"], "secretName": "tls"}],
    }
    return _object(resources.INGRESS, namespace, name, spec=spec)


def http_route(namespace: str, name: str = "sample") -> KubeObject:
    spec = {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["voice.example.com"],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": name, "port": 80}]}],
    }
    return _object(resources.HTTP_ROUTE, namespace, name, spec=spec)


SAMPLES = {
    resources.SERVICE_ACCOUNT: service_account,
    resources.CONFIG_MAP: config_map,
    resources.SECRET: secret,
    resources.SERVICE: service,
    resources.DEPLOYMENT: deployment,
    resources.POD_DISRUPTION_BUDGET: pod_disruption_budget,
    resources.HORIZONTAL_POD_AUTOSCALER: horizontal_pod_autoscaler,
    resources.NETWORK_POLICY: network_policy,
    resources.INGRESS: ingress,
    resources.HTTP_ROUTE: http_route,
}
