"""What the tests of `kube` share: the HTTPRoute kind, an owner, and how objects of ours are marked."""

from contextlib import suppress

import pytest

from mistral_voice.kube import resources
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import AlreadyExists, NotFound
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.observed import Marks
from mistral_voice.kube.ownership import Owner
from tests.api.kube.samples import HTTP_ROUTE_CRD
from tests.support.waiting import eventually

MARKS = Marks(
    field_manager="sample-operator",
    hash_annotation="sample.example.com/desired-hash",
    owner_uid_label="sample.example.com/owner-uid",
    owner_name_label="sample.example.com/owner",
)


@pytest.fixture
async def owner(client: Client, namespace: str) -> Owner:
    """A ConfigMap that owns what the tests make."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": namespace}}
    made = await client.create(resources.CONFIG_MAP, namespace, body)
    return Owner("v1", "ConfigMap", namespace, "owner", made["metadata"]["uid"])


@pytest.fixture
async def http_routes(client: Client) -> None:
    """Gateway API's HTTPRoute is served."""
    with suppress(AlreadyExists):
        await client.create(resources.CUSTOM_RESOURCE_DEFINITION, None, HTTP_ROUTE_CRD)

    async def served() -> bool:
        try:
            await client.list_all(resources.HTTP_ROUTE)
        except NotFound:
            return False
        return True

    await eventually(served, "HTTPRoutes to be served")


@pytest.fixture
def fields() -> FieldSets:
    return FieldSets()
