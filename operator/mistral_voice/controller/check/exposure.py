"""How clients outside the cluster reach the gateway: what the Gateway API and Ingress refuse, said before they do."""

import re
from collections import Counter
from collections.abc import Iterator

from mistral_voice.contract.v1alpha1.spec import HTTPRouteExposure, IngressExposure, ParentReference
from mistral_voice.controller.check.finding import Finding, info, invalid
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import Reason

_IP_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}", re.ASCII)
_LONGEST_DNS_LABEL = 63


def gateway_api_installed(known: Input) -> Finding | None:
    """Find an HTTPRoute wanted where the cluster does not know HTTPRoutes."""
    expose = known.valid_spec.gateway.expose
    if expose is None or expose.http_route is None or known.gateway_api_installed:
        return None
    return invalid(
        Reason.GATEWAY_API_NOT_INSTALLED,
        "spec.gateway.expose.httpRoute",
        "This cluster does not have the Gateway API (gateway.networking.k8s.io), so no HTTPRoute can be made.",
        "Ask for the Gateway API to be installed, use expose.ingress, or remove expose.httpRoute.",
    )


def exposure_acceptable(known: Input) -> Finding | None:
    """Find host names and parents that the API server would refuse."""
    expose = known.valid_spec.gateway.expose
    if expose is None:
        return None
    problems = [
        *(_route_problems(expose.http_route) if expose.http_route is not None else ()),
        *(_ingress_problems(expose.ingress) if expose.ingress is not None else ()),
    ]
    if not problems:
        return None
    path, message = problems[0]
    return invalid(Reason.INVALID_EXPOSURE, f"spec.gateway.expose.{path}", message, "Correct the field and apply the resource again.")


def backend_tls_known(known: Input) -> Finding | None:
    """Tell that whatever stands in front of a gateway that serves TLS has to be told so."""
    gateway = known.valid_spec.gateway
    if gateway.tls is None or gateway.expose is None or (gateway.expose.http_route is None and gateway.expose.ingress is None):
        return None
    return info(
        "BackendServesTLS",
        "spec.gateway.tls",
        "The gateway's pods serve TLS themselves, so the route or ingress has to speak TLS to them.",
        "Add a BackendTLSPolicy for the Service, or your ingress controller's annotation for it; or let TLS end in front and remove "
        "spec.gateway.tls.",
    )


def _route_problems(route: HTTPRouteExposure) -> Iterator[tuple[str, str]]:
    for index, host in enumerate(route.hostnames or ()):
        if (problem := _host_problem(host)) is not None:
            yield f"httpRoute.hostnames[{index}]", problem
    # Source: the CEL rules of HTTPRoute's parentRefs, standard channel: the port tells no two references apart.
    parents = Counter(_parent(parent) for parent in route.parent_refs)
    sections = Counter((*_parent(parent), parent.section_name) for parent in route.parent_refs)
    for index, parent in enumerate(route.parent_refs):
        place = f"httpRoute.parentRefs[{index}]"
        if parents[_parent(parent)] > 1 and parent.section_name is None:
            yield place, f"The parent {parent.name!r} is named more than once, so each time it needs a sectionName."
        elif sections[*_parent(parent), parent.section_name] > 1:
            yield place, f"The parent {parent.name!r} is named twice with the same sectionName."


def _parent(parent: ParentReference) -> tuple[str, str | None]:
    return parent.name, parent.namespace


def _ingress_problems(ingress: IngressExposure) -> Iterator[tuple[str, str]]:
    if (problem := _host_problem(ingress.host)) is not None:
        yield "ingress.host", problem


def _host_problem(host: str) -> str | None:
    if _IP_ADDRESS.fullmatch(host):
        return f"{host!r} is an address: a host name is needed."
    if any(len(label) > _LONGEST_DNS_LABEL for label in host.split(".")):
        return f"A part of {host[:80]!r} is longer than {_LONGEST_DNS_LABEL} characters, which no host name may be."
    return None
