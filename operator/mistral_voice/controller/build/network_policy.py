"""The NetworkPolicy: who reaches the gateway's pods, and what they reach."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from mistral_voice.contract import names
from mistral_voice.controller.build.common import Child, child, selector_labels
from mistral_voice.controller.input import Input
from mistral_voice.controller.settings import EgressRule
from mistral_voice.kube.resources import NETWORK_POLICY

_DNS_PORT: Final = 53
_HTTPS_PORT: Final = 443
_OTLP_PORT: Final = 4318
_EVERYWHERE: Final = ((4, "0.0.0.0/0"), (6, "::/0"))


def network_policy(known: Input) -> Child:
    """Return the policy.

    In: clients from anywhere, since they authenticate, and scrapes from the namespaces of monitoring. Out: DNS, HTTPS (port 443 and the
    endpoint's own) to everywhere but the blocked ranges, and what the endpoint and the collector of traces add. With mode managed: DNS, the
    broker's pods and the collector, nothing else.
    """
    settings = known.operator.network_policy
    spec = {
        "podSelector": {"matchLabels": selector_labels(known.name)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"ports": [_tcp(names.CLIENT_PORT)]},
            {"from": [{"namespaceSelector": settings.monitoring_namespace_selector}], "ports": [_tcp(names.METRICS_PORT)]},
        ],
        "egress": [
            {"ports": [{"protocol": "UDP", "port": _DNS_PORT}, _tcp(_DNS_PORT)]},
            *(_to_broker(known) if known.managed else _to_mistral(known)),
            *(_egress(rule, _OTLP_PORT) for rule in known.operator.gateway.tracing.egress),
        ],
    }
    return child(NETWORK_POLICY, known, spec=spec)


def _to_mistral(known: Input) -> Iterator[dict[str, Any]]:
    settings, endpoint = known.operator.network_policy, known.endpoint
    own_port = _HTTPS_PORT if endpoint is None else urlsplit(endpoint.url).port or _HTTPS_PORT
    yield {
        "to": [_everywhere_but(everywhere, settings.blocked(version)) for version, everywhere in _EVERYWHERE],
        "ports": [_tcp(port) for port in sorted({_HTTPS_PORT, own_port})],
    }
    for rule in endpoint.egress if endpoint is not None else ():
        yield _egress(rule, own_port)


def _to_broker(known: Input) -> Iterator[dict[str, Any]]:
    installed = known.operator.managed_mode
    if installed is not None:
        namespace = {"matchLabels": {"kubernetes.io/metadata.name": installed.broker.namespace}}
        pods = {"namespaceSelector": namespace, "podSelector": {"matchLabels": dict(installed.broker.pod_labels)}}
        yield {"to": [pods], "ports": [_tcp(installed.broker.pod_port)]}


def _everywhere_but(everywhere: str, blocked: Sequence[str]) -> dict[str, Any]:
    return {"ipBlock": {"cidr": everywhere, **({"except": list(blocked)} if blocked else {})}}


def _egress(rule: EgressRule, own_port: int) -> dict[str, Any]:
    return {"to": [{"ipBlock": {"cidr": str(rule.cidr)}}], "ports": [_tcp(port) for port in rule.ports or (own_port,)]}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
