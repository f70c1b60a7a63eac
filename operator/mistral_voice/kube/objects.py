"""What a Kubernetes object is to this package: plain JSON, and a name for it."""

from typing import Any, NamedTuple

KubeObject = dict[str, Any]
"""A Kubernetes object as plain JSON: what a builder makes, what the API server answers."""


class ObjectKey(NamedTuple):
    """Names one object of a kind. `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def is_later(version: str, other: str) -> bool:
    """Return whether a resourceVersion is a later one of the same object.

    ResourceVersions compare as numbers (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions); should a server's
    not be numbers, every differing one counts as later.
    """
    if version.isdecimal() and other.isdecimal():
        return int(version) > int(other)
    return version != other


def key_of(body: KubeObject) -> ObjectKey:
    """Return the namespace and name of an object."""
    metadata = body["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])
