"""The Ingress, where no Gateway API is at hand."""

from typing import Any

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.spec import IngressExposure
from mistral_voice.controller.build.common import CLIENT_PORT_NAME, Child, child
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import INGRESS


def ingress(known: Input, exposure: IngressExposure) -> Child:
    """Return the ingress: everything under the host goes to the gateway's Service."""
    backend = {"service": {"name": names.child_name(known.name), "port": {"name": CLIENT_PORT_NAME}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: dict[str, Any] = {"rules": [{"host": exposure.host, "http": {"paths": [path]}}]}
    if exposure.class_name is not None:
        spec["ingressClassName"] = exposure.class_name
    if exposure.tls_secret_ref is not None:
        spec["tls"] = [{"hosts": [exposure.host], "secretName": exposure.tls_secret_ref.name}]
    return child(INGRESS, known, spec=spec)
