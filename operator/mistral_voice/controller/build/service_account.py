"""The ServiceAccount of the gateway's pods. It has no rights, and no token of it is mounted."""

from mistral_voice.controller.build.common import Child, child
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import SERVICE_ACCOUNT


def service_account(known: Input) -> Child:
    """Return the ServiceAccount."""
    return child(SERVICE_ACCOUNT, known, automountServiceAccountToken=False)
