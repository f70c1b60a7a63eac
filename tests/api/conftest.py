"""One API server for all API tests of a run, and a namespace of its own for each test."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.resources import NAMESPACE
from tests.cluster import ApiServer, api_server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ApiServer]:
    """An API server without controllers: objects stay as they are written."""
    with api_server() as server:
        yield server


@pytest.fixture
async def client(cluster: ApiServer) -> AsyncIterator[Client]:
    """A client that may do everything."""
    async with Client(await load_access(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(client: Client) -> str:
    """A fresh namespace. Nothing removes it: the API server goes with the run."""
    name = f"t-{secrets.token_hex(5)}"
    await client.create(NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
