"""What the console's tests share: the API server of `tests/api`, started when the first of them needs it, and a control plane's world."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mistral_voice.kube.client import Client
from tests.api.conftest import client, cluster
from tests.browser.console import SPEC
from tests.cluster import ApiServer
from tests.support.office import Office, an_office

__all__ = ["client", "cluster"]


@pytest.fixture
async def office(cluster: ApiServer, client: Client, tmp_path: Path) -> AsyncIterator[Office]:
    async with an_office(cluster, client, tmp_path, **SPEC) as office:
        yield office
