"""Integrations for benchmarks, and the children that the operator makes of them, computed by the operator's own builders."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.integration import parse_spec
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.controller.build import build
from mistral_voice.controller.build.token_secret import token_secret
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.input import Input, ResolvedCredential
from mistral_voice.controller.operator import MARKS
from mistral_voice.controller.secret_reader import new_token
from mistral_voice.controller.settings import OperatorFile
from mistral_voice.kube.apply import desired_hash
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.ownership import Owner
from mistral_voice.kube.resources import SECRET, Resource

PER_NAMESPACE = 100


@dataclass(frozen=True)
class Place:
    """Where an integration lies. All names are equally long."""

    number: int

    @property
    def namespace(self) -> str:
        """The team's namespace; each has one key."""
        return f"team-{self.number // PER_NAMESPACE:03}"

    @property
    def name(self) -> str:
        """The integration's name."""
        return f"voice-{self.number:05}"


def places(count: int) -> list[Place]:
    """Return the places of so many integrations."""
    return [Place(number) for number in range(count)]


def namespaces(count: int) -> list[str]:
    """Return the namespaces of so many integrations."""
    return sorted({place.namespace for place in places(count)})


def key_of_team(namespace: str) -> str:
    """Return the Mistral key of a namespace, as the simulator knows it."""
    return f"bench-key-{hashlib.sha256(namespace.encode()).hexdigest()[:20]}"


def key_secret(namespace: str) -> KubeObject:
    """Return the Secret with a namespace's key."""
    data = {"apiKey": base64.b64encode(key_of_team(namespace).encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mistral", "namespace": namespace}, "type": "Opaque", "data": data}


def integration(place: Place, *, interval_seconds: int) -> KubeObject:
    """Return the twelve lines that a team applies."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": place.name, "namespace": place.namespace},
        "spec": {"mode": "byok", "secretRef": {"name": "mistral"}, "healthCheck": {"intervalSeconds": interval_seconds}},
    }


def children(body: KubeObject, uid: str, settings: dict[str, Any]) -> Iterator[tuple[Resource, KubeObject]]:
    """Yield the children as the operator would send them, in its order."""
    spec = parse_spec(body["spec"])
    if not isinstance(spec, IntegrationSpecification):
        raise TypeError(f"the benchmark's spec is wrong: {spec}")
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    operator, now = OperatorFile.model_validate(settings), datetime.now(UTC)
    known = Input(namespace, name, uid, 1, operator, now, spec, credential=ResolvedCredential())
    owner = Owner(names.API_VERSION, names.KIND, namespace, name, uid)
    for child in build(known, valid=valid(check(known))).objects:
        if child.resource == SECRET:
            yield SECRET, _marked(token_secret(known, new_token), owner)
        else:
            marked = _marked(child.body, owner)
            metadata = marked["metadata"]
            annotations = {**metadata.get("annotations", {}), MARKS.hash_annotation: desired_hash(marked)}
            yield child.resource, {**marked, "metadata": {**metadata, "annotations": annotations}}


def _marked(body: KubeObject, owner: Owner) -> KubeObject:
    metadata = body["metadata"]
    labels = {**metadata.get("labels", {}), MARKS.owner_name_label: owner.name, MARKS.owner_uid_label: owner.uid}
    return {**body, "metadata": {**metadata, "labels": labels, "ownerReferences": [owner.reference()]}}
