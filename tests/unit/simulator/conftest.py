from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.simulator import SimulatorHandle, running_simulator


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as handle:
        yield handle


@pytest.fixture
async def http(mistral: SimulatorHandle) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as session:
        yield session
