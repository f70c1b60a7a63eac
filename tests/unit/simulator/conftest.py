from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.leaping_loop import loop_factories
from tests.support.simulator import SimulatorHandle, running_simulator

pytest_asyncio_loop_factories = loop_factories
"""What these tests talk to is in their own process: their loop's clock stands still while anything computes."""


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as handle:
        yield handle


@pytest.fixture
async def http(mistral: SimulatorHandle) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as session:
        yield session
