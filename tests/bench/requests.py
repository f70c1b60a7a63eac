"""What the API server was asked, by its own count."""

import re
from collections import Counter
from collections.abc import Mapping

from mistral_voice.contract import names
from mistral_voice.kube.client import Client
from mistral_voice.kube.resources import EVENT
from tests.cluster import ApiServer

_SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
_OPERATORS = frozenset(
    {
        "serviceaccounts",
        "configmaps",
        "secrets",
        "networkpolicies",
        "deployments",
        "services",
        "poddisruptionbudgets",
        "horizontalpodautoscalers",
        "mistralvoiceintegrations",
    }
)
"""What the operator writes beside its Lease and Events; the API server itself writes Events and other kinds too."""


def writes(cluster: ApiServer) -> Counter[str]:
    """Return how many writes the API server has had so far, by kind and subresource, for the kinds that the operator writes."""
    counted: Counter[str] = Counter()
    for sample in _SAMPLE.finditer(cluster.kubectl("get", "--raw", "/metrics").stdout):
        labels = dict(_LABEL.findall(sample["labels"]))
        if labels.get("verb") in _WRITES and labels.get("resource") in _OPERATORS:
            counted[_name(labels)] += int(float(sample["value"]))
    return counted


async def events(client: Client) -> int:
    """Return how many Kubernetes Events of the operator there are."""
    return sum(event.get("reportingController") == names.FIELD_MANAGER for event in await client.list_all(EVENT))


def _name(labels: Mapping[str, str]) -> str:
    return "/".join(part for part in (labels["resource"], labels.get("subresource", "")) if part)
