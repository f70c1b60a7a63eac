"""The Service that clients inside the cluster, routes and ingresses reach the gateway by."""

from mistral_voice.contract import names
from mistral_voice.controller.build.common import CLIENT_PORT_NAME, Child, child, selector_labels
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import SERVICE


def service(known: Input) -> Child:
    """Return the Service. Its port says that it speaks WebSocket (GEP-1911), so that Gateways in front of it know."""
    port = {
        "name": CLIENT_PORT_NAME,
        "port": names.CLIENT_PORT,
        "targetPort": CLIENT_PORT_NAME,
        "protocol": "TCP",
        "appProtocol": "kubernetes.io/ws" if known.valid_spec.gateway.tls is None else "kubernetes.io/wss",
    }
    return child(SERVICE, known, spec={"type": "ClusterIP", "selector": selector_labels(known.name), "ports": [port]})
