"""Managed mode for each test that asks for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mistral_voice.kube.client import Client
from tests.api.broker.place import Place, managed_place
from tests.cluster import ApiServer
from tests.support.crds import install_crds


@pytest.fixture(scope="session")
def resources(cluster: ApiServer) -> None:
    """Our kinds are served."""
    install_crds(cluster)


@pytest.fixture
async def place(resources: None, cluster: ApiServer, client: Client, tmp_path: Path) -> AsyncIterator[Place]:
    async with managed_place(cluster, client, tmp_path) as place:
        yield place
