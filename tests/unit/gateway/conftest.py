"""A simulator and a gateway for each test that asks for them.

Both run in the test's process, on a loop whose clock stands still while anything computes: no test depends on how busy the machine is, and
none waits. Tests with a process beside their own bear the mark `in_real_time`.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.leaping_loop import loop_factories
from tests.support.simulator import SimulatorHandle, running_simulator

MS_PER_CHARACTER = 20
"""A quick voice: a reply takes as long as its audio plays, less the lead."""
SCRIPT = {
    "transcription": {"listening": "anything", "turns": [{"text": "What is the capital of France?", "word_ms": 50}]},
    "speech": {"ms_per_character": MS_PER_CHARACTER},
    "chat": {"replies": [{"text": "The capital of France is Paris, of course. It has two million people.", "thinking": "Hm, France."}]},
}


pytest_asyncio_loop_factories = loop_factories


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(SCRIPT) as simulator:
        yield simulator


@pytest.fixture
async def gateway(mistral: SimulatorHandle, tmp_path: Path) -> AsyncIterator[GatewayHandle]:
    async with running_gateway(mistral, tmp_path) as running:
        yield running
