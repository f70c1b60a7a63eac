"""The embedded Kubernetes of the tests, the demo and the benchmarks: see README.md beside this file."""

from tests.cluster.api_server import ApiServer, api_server
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.kind_cluster import NodeCluster, kind_cluster

__all__ = ["ApiServer", "Cluster", "ClusterError", "NodeCluster", "api_server", "kind_cluster"]
