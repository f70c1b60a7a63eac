"""The HTTPRoute: the gateway behind a Gateway of the Gateway API."""

from typing import Any

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.spec import HTTPRouteExposure, ParentReference
from mistral_voice.controller.build.common import Child, child
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import HTTP_ROUTE


def http_route(known: Input, exposure: HTTPRouteExposure) -> Child:
    """Return the route: everything under the host names goes to the gateway's Service."""
    spec: dict[str, Any] = {
        "parentRefs": [_parent(parent) for parent in exposure.parent_refs],
        **({"hostnames": list(exposure.hostnames)} if exposure.hostnames else {}),
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": names.child_name(known.name), "port": names.CLIENT_PORT, "weight": 1}
                ],
            }
        ],
    }
    return child(HTTP_ROUTE, known, spec=spec)


def _parent(parent: ParentReference) -> dict[str, Any]:
    given = {"namespace": parent.namespace, "sectionName": parent.section_name, "port": parent.port}
    return {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": parent.name,
        **{field: value for field, value in given.items() if value is not None},
    }
