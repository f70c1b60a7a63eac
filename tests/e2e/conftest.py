"""One cluster with a real node for all tests of a run."""

from collections.abc import Iterator

import pytest

from tests.cluster import NodeCluster, kind_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[NodeCluster]:
    """A cluster of one node by kind, or the current kubeconfig's where `CLUSTER=existing`."""
    with kind_cluster() as cluster:
        yield cluster
