"""The embedded Kubernetes of the tests, the demo and the benchmarks: see README.md beside this file."""

from tests.cluster.api_server import ApiServer, api_server
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError

__all__ = ["ApiServer", "Cluster", "ClusterError", "api_server"]
