"""What a gateway tells of itself."""

import gc
import re
from enum import StrEnum
from pathlib import Path

import pytest

from mistral_voice.contract.gateway_config import Policy
from mistral_voice.gateway.admission import Reason
from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.session.commands import EndReason, Outcome, Stage
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech
from tests.support.waiting import eventually


async def test_requests_and_stages_are_told_by_model(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, policy=Policy(allowed_models=("mistral-small-latest",))) as gateway:
        async with gateway.connect() as client:
            await client.say(speech("What is the capital of France?") + silence(1200))
            await client.until("response.done")
        async with gateway.connect(model="mistral-small-latest") as client:
            await client.send("response.create")
            await client.until("response.done")
        for kind, model in (
            ("chat", "mistral-medium-latest"),
            ("chat", "mistral-small-latest"),
            ("transcription", "voxtral-mini-transcribe-realtime-latest"),
        ):
            assert await gateway.metric("upstream_requests_total", kind=kind, model=model, mode="byok") == 1
        assert await gateway.metric("upstream_requests_total", kind="speech", model="voxtral-mini-tts-latest") >= 2
        for stage, model, times in (
            ("transcript", "voxtral-mini-transcribe-realtime-latest", 1),
            ("first_token", "mistral-medium-latest", 1),
            ("first_token", "mistral-small-latest", 1),
            ("first_audio", "voxtral-mini-tts-latest", 2),
            ("total", "mistral-medium-latest", 1),
        ):
            assert await gateway.metric("turn_latency_seconds_count", stage=stage, model=model) == times
        for model in ("mistral-medium-latest", "mistral-small-latest"):

            async def its_end_is_counted(model: str = model) -> bool:
                return await gateway.metric("sessions_ended_total", reason="client_closed", model=model) == 1

            await eventually(its_end_is_counted, f"the end of the session with {model}")


async def test_failed_requests_are_told_by_model(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.add_fault("status", endpoint="chat", status=429, times=1)
    async with gateway.connect() as client:
        await client.send("response.create")
        await client.until("response.done")
    assert await gateway.metric("upstream_errors_total", kind="chat", model="mistral-medium-latest", reason="rate_limited") == 1


async def test_collections_of_garbage_are_timed(gateway: GatewayHandle) -> None:
    before = await gateway.metric("gc_pause_seconds_count", generation="2")
    gc.collect()

    async def it_is_told() -> bool:
        return await gateway.metric("gc_pause_seconds_count", generation="2") > before

    await eventually(it_is_told, "the collection")


async def test_a_gateway_tells_of_its_process_and_no_series_doubles_another(gateway: GatewayHandle) -> None:
    _, text = await gateway.get("/metrics", metrics=True)
    for series in ("process_resident_memory_bytes ", "process_cpu_seconds_total ", "python_info{", "python_gc_collections_total{"):
        assert f"\n{series}" in text
    assert "_created" not in text


@pytest.mark.parametrize(("page", "prefix"), [("metrics.md", "mistral_voice_gateway_"), ("gateway.md", "")])
async def test_the_docs_name_every_series(gateway: GatewayHandle, page: str, prefix: str) -> None:
    _, text = await gateway.get("/metrics", metrics=True)
    series = re.findall(r"^# TYPE mistral_voice_gateway_(\w+)", text, re.MULTILINE)
    documented = (Path(__file__).parents[3] / "docs" / page).read_text()
    assert len(series) > 15
    assert [name for name in series if f"`{prefix}{name}`" not in documented] == []


@pytest.mark.parametrize("label", [EndReason, FaultKind, Limit, Outcome, Reason, Stage])
def test_the_docs_name_every_value_of_a_label(label: type[StrEnum]) -> None:
    documented = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    assert [value for value in label if f"`{value}`" not in documented] == []
