"""What a client really does when the gateway ends the session: at a drain, and when the session's longest time is over."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.conftest import ANSWER
from tests.conformance.libraries import AGENTS_FOR_NODE, LIVEKIT, OPENAI, OPENAI_AGENTS, PIPECAT, Library
from tests.conformance.person import calling
from tests.conformance.recorder import Recorder, recording
from tests.support.gateway import GatewayHandle, gateway_process
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence
from tests.support.waiting import eventually


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
        call = recorder.call
        drain(gateway)
        await person.is_told(ANSWER)
        await eventually(lambda: len(person.sound()) / 48 >= len(ANSWER) * 19, "all of the reply to be played")
        await eventually(lambda: call.close_code == 1001, "the end of the drain")
    assert call.all_received("error") == []


async def test_the_longest_time_of_a_session_is_told_as_an_error(library: Library, mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        gateway_process(mistral, tmp_path / "gateway", max_seconds=10) as gateway,
        recording(gateway.base_url) as recorder,
        calling(library, recorder, tmp_path) as person,
    ):
        await person.sees("connected")
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        assert person.all("trouble") == []
        assert "maximum duration" in (await person.sees("trouble"))["text"]
        await eventually(lambda: recorder.calls[0].close_code == 1000, "the end of the session")


@pytest.mark.clients(OPENAI, AGENTS_FOR_NODE, OPENAI_AGENTS)
async def test_the_end_of_a_drain_is_the_end_of_the_call(
    library: Library, recorder: Recorder, gateway: GatewayHandle, tmp_path: Path
) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        drain(gateway)
        await person.sees("closed")
    assert person.all("trouble") == []
    assert len(recorder.calls) == 1


@pytest.mark.clients(PIPECAT)
async def test_pipecat_notices_the_end_of_a_drain_when_it_sends_again(
    library: Library, recorder: Recorder, gateway: GatewayHandle, tmp_path: Path
) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        drain(gateway)
        await eventually(lambda: recorder.call.close_code == 1001, "the end of the drain")
        assert person.all("trouble") == []
        await person.speak(silence(100))
        assert "1001" in (await person.sees("trouble"))["text"]
    assert len(recorder.calls) == 1


@pytest.mark.clients(PIPECAT)
async def test_pipecat_hears_nothing_more_after_an_error(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    """But after a cancellation that came too late: which is why the gateway refuses as little as it can."""
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.do("commit")
        assert "input_audio_buffer_commit_empty" in (await person.sees("trouble"))["text"]
        await person.write("Where is Paris?")
        await eventually(lambda: recorder.call.all_received("response.done"), "the answer")
    assert person.all("said") == []


@pytest.mark.clients(LIVEKIT)
async def test_livekit_calls_again_after_a_drain_and_brings_its_conversation(
    library: Library, recorder: Recorder, gateway: GatewayHandle, mistral: SimulatorHandle, tmp_path: Path
) -> None:
    async with gateway_process(mistral, tmp_path / "successor") as successor, calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        recorder.gateway_url = successor.base_url
        drain(gateway)
        await person.sees("reconnecting")
        await eventually(lambda: len(recorder.call.all_received("conversation.item.done")) == 2, "its conversation to be there")
        await person.write("And where is Rome?")
        await person.is_told(ANSWER)
    messages = (await mistral.requests(endpoint="chat"))[-1]["body"]["messages"]
    assert [message["content"] for message in messages[1:]] == ["Where is Paris?", ANSWER, "And where is Rome?"]
    assert recorder.calls[0].close_code == 1001


@pytest.mark.clients(OPENAI)
async def test_openai_calls_again_after_a_drain_if_it_may_and_begins_an_empty_conversation(
    library: Library, recorder: Recorder, gateway: GatewayHandle, mistral: SimulatorHandle, tmp_path: Path
) -> None:
    async with (
        gateway_process(mistral, tmp_path / "successor") as successor,
        calling(library, recorder, tmp_path, "reconnect") as person,
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


@pytest.mark.clients(OPENAI)
async def test_openai_does_not_call_again_when_the_time_of_its_session_is_over(
    library: Library, mistral: SimulatorHandle, tmp_path: Path
) -> None:
    async with (
        gateway_process(mistral, tmp_path / "gateway", max_seconds=1) as gateway,
        recording(gateway.base_url) as recorder,
        calling(library, recorder, tmp_path, "reconnect") as person,
    ):
        assert (await person.sees("trouble"))["code"] == "session_expired"
        await person.sees("closed")
        assert await person.is_left() == 0
    assert person.all("reconnecting") == []
    assert len(recorder.calls) == 1


@pytest.mark.clients(LIVEKIT)
async def test_livekit_calls_again_when_the_time_of_its_session_is_over(library: Library, mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        gateway_process(mistral, tmp_path / "gateway", max_seconds=3) as gateway,
        recording(gateway.base_url) as recorder,
        calling(library, recorder, tmp_path) as person,
    ):
        assert "maximum duration" in (await person.sees("trouble"))["text"]
        await person.sees("reconnecting")
    assert recorder.calls[0].close_code == 1000


@pytest.mark.clients(LIVEKIT)
async def test_livekit_goes_on_after_an_error(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.do("delete", item="none")
        assert (await person.sees("trouble"))["recoverable"]
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
    assert len(recorder.calls) == 1
