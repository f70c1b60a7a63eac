"""What a client really does when the gateway ends the session: at a drain, and when the session's longest time is over."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.conftest import ANSWER
from tests.conformance.libraries import OPENAI, Library
from tests.conformance.person import calling
from tests.conformance.recorder import Recorder, recording
from tests.support.gateway import GatewayHandle, gateway_process
from tests.support.simulator import SimulatorHandle


@pytest.fixture
async def gateway(mistral: SimulatorHandle, tmp_path: Path) -> AsyncIterator[GatewayHandle]:
    """Drains at once: a session that has no turn to finish is closed."""
    async with gateway_process(mistral, tmp_path / "gateway", ["--drain-accept-seconds", "0"], drain_seconds=0) as running:
        yield running


def drain(gateway: GatewayHandle) -> None:
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)


async def test_a_drain_lets_the_reply_end_and_is_no_error(
    library: Library, recorder: Recorder, gateway: GatewayHandle, tmp_path: Path
) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.write("Tell me a short tale!")
        await person.sees("sound")
        drain(gateway)
        await person.is_told(ANSWER)
        await person.sees("closed")
    assert recorder.call.close_code == 1001
    assert person.all("trouble") == []
    assert len(person.sound()) / 48 >= len(ANSWER) * 19


async def test_the_longest_time_of_a_session_is_told_as_an_error(library: Library, mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        gateway_process(mistral, tmp_path / "gateway", max_seconds=5) as gateway,
        recording(gateway.base_url) as recorder,
        calling(library, recorder, tmp_path) as person,
    ):
        await person.sees("connected")
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        assert person.all("trouble") == []
        assert "maximum duration" in (await person.sees("trouble"))["text"]
        await person.sees("closed")
    assert recorder.call.close_code == 1000
    assert len(recorder.calls) == 1


async def test_openai_calls_again_after_a_drain_if_it_may_and_begins_an_empty_conversation(
    recorder: Recorder, gateway: GatewayHandle, mistral: SimulatorHandle, tmp_path: Path
) -> None:
    async with (
        gateway_process(mistral, tmp_path / "successor") as successor,
        calling(OPENAI, recorder, tmp_path, "reconnect") as person,
    ):
        await person.sees("connected")
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        recorder.gateway_url = successor.base_url
        drain(gateway)
        assert (await person.sees("reconnecting"))["code"] == 1001
        await person.sees("connected")
        await person.write("And where is Rome?")
        await person.is_told(ANSWER)
        assert await person.leaves() == 0
    assert person.all("trouble") == []
    assert len(recorder.calls) == 2
    messages = (await mistral.requests(endpoint="chat"))[-1]["body"]["messages"]
    assert [message["content"] for message in messages if message["role"] == "user"] == ["And where is Rome?"]


async def test_openai_does_not_call_again_when_the_time_of_its_session_is_over(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        gateway_process(mistral, tmp_path / "gateway", max_seconds=1) as gateway,
        recording(gateway.base_url) as recorder,
        calling(OPENAI, recorder, tmp_path, "reconnect") as person,
    ):
        assert (await person.sees("trouble"))["code"] == "session_expired"
        await person.sees("closed")
        assert await person.is_left() == 0
    assert person.all("reconnecting") == []
    assert len(recorder.calls) == 1
