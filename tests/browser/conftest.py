"""The API server of the console's tests: that of `tests/api`, started when the first of them needs it."""

from tests.api.conftest import client, cluster

__all__ = ["client", "cluster"]
