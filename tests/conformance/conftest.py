"""Each test runs for each client: those of `make test`, or with `--clients all` all of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.libraries import ALL, CORE, Library
from tests.conformance.recorder import Recorder, recording
from tests.support.gateway import GatewayHandle, gateway_process
from tests.support.simulator import SimulatorHandle, running_simulator

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris, of course. It has two million people."
ANSWER_HZ = 650
MS_A_CHARACTER = 20
UMBRELLA = "Take an umbrella with you."
STORY = "Once upon a time there was a voice that went on and on. " * 24
"""So long that a caller cuts into it however late a busy machine lets them be heard."""
SCRIPT = {
    "transcription": {"listening": "anything", "turns": [{"text": QUESTION, "word_ms": 50}]},
    "speech": {"ms_per_character": MS_A_CHARACTER, "speed": 8, "tone_hz": ANSWER_HZ},
    "chat": {
        "replies": [
            {"when": "long story", "text": STORY},
            {"when": "weather", "tool_calls": [{"name": "weather", "arguments": '{"city": "Paris"}'}]},
            {"when": "It rains", "text": UMBRELLA},
            {"text": ANSWER},
        ]
    },
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients", choices=["core", "all"], default="core", help="which clients to test")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clients(*libraries): the test is about these clients alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "library" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("clients")
        metafunc.parametrize("library", [pytest.param(library, id=library.name) for library in (mark.args if mark else ALL)])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of clients that are not wanted."""
    wanted = ALL if config.getoption("--clients", default="core") == "all" else CORE
    unwanted = [item for item in items if isinstance(item, pytest.Function) and not _is_of(item, wanted)]
    config.hook.pytest_deselected(items=unwanted)
    items[:] = [item for item in items if item not in unwanted]


def _is_of(item: pytest.Function, wanted: tuple[Library, ...]) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("library", wanted[0]) in wanted


@pytest.fixture
def library(request: pytest.FixtureRequest) -> Library:
    """Parametrized above."""
    chosen: Library = request.param
    return chosen


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(SCRIPT) as simulator:
        yield simulator


@pytest.fixture
async def gateway(mistral: SimulatorHandle, tmp_path: Path) -> AsyncIterator[GatewayHandle]:
    async with gateway_process(mistral, tmp_path / "gateway") as running:
        yield running


@pytest.fixture
async def recorder(gateway: GatewayHandle) -> AsyncIterator[Recorder]:
    async with recording(gateway.base_url) as running:
        yield running
