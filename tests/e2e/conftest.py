"""One cluster with a real node and one installation for all tests of a run; each test has a namespace of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.cluster import NodeCluster, kind_cluster
from tests.e2e.place import Place, prepared
from tests.e2e.team import Team, team_of


@pytest.fixture(scope="session")
def cluster() -> Iterator[NodeCluster]:
    """A cluster of one node by kind, or the current kubeconfig's where `CLUSTER=existing`."""
    with kind_cluster() as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """The operator, installed by its chart, and Mistral, simulated."""
    async with prepared(cluster, tmp_path_factory.mktemp("place")) as place:
        yield place


@pytest_asyncio.fixture(loop_scope="session")
async def team(place: Place) -> AsyncIterator[Team]:
    """A team in a namespace of its own."""
    async with team_of(place) as team:
        yield team
