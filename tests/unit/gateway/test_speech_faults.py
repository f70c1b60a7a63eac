"""Whatever happens to speech: what came is heard, nothing is said twice, and the client is told."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mistral_voice.gateway.upstream.speech_sockets import SpeechTransport
from mistral_voice.mistral.stream.client import Deadlines
from mistral_voice.simulator.scripted.tone import dominant_hz, tone_hz
from tests.support.gateway import GatewayHandle, RealtimeClient, replace_file, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.waiting import eventually

ANSWER = "The capital of France is Paris, of course. It has two million people."
CLAUSES = ["The capital of France is Paris,", "of course.", "It has two million people."]
MS_PER_CHARACTER = 20
SLOW_MS_PER_CHARACTER = 60
"""The first clause is longer than the lead that audio has ahead of its playback."""
CHUNK = 4_800
"""Bytes of a delta of 100 ms, as the simulator sends them."""
IMPATIENT = Deadlines(connect_seconds=0.5, read_seconds=0.5, write_seconds=1.0)


async def ask(client: RealtimeClient) -> dict[str, Any]:
    await client.send("response.create")
    response: dict[str, Any] = (await client.until("response.done"))["response"]
    return response


def heard(client: RealtimeClient, response: dict[str, Any]) -> bytes:
    """The audio of a response."""
    events = client.all("response.output_audio.delta")
    return b"".join(base64.b64decode(event["delta"]) for event in events if event["response_id"] == response["id"])


def assert_says(audio: bytes, clauses: list[str], ms_per_character: int = MS_PER_CHARACTER) -> None:
    """Each clause is heard once, whole and in order: the simulator gives each its own pitch."""
    samples = np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(32768)
    position = 0
    for clause in clauses:
        length = len(clause) * ms_per_character // 20 * 20 * 24
        assert dominant_hz(samples[position : position + length], 24_000) == pytest.approx(tone_hz(clause), rel=0.03)
        position += length
    assert len(samples) == position


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 404}, {"kind": "status", "status": 503}, {"kind": "reset"}, {"kind": "hang"}]
)
async def test_without_sockets_speech_comes_over_http(mistral: SimulatorHandle, tmp_path: Path, fault: dict[str, Any]) -> None:
    await mistral.add_fault(endpoint="speech_realtime", **fault)
    async with running_gateway(mistral, tmp_path, deadlines=IMPATIENT, speech_spares=4) as gateway, gateway.connect() as client:
        response = await ask(client)
        assert response["status"] == "completed"
        assert_says(heard(client, response), CLAUSES)
        asked = [request["body"] for request in await mistral.requests(endpoint="speech")]
        assert [(body["input"], body["voice_id"], body["stream"], body["response_format"]) for body in asked] == [
            (clause, "voice_478", True, "pcm") for clause in CLAUSES
        ]
        tried = len(await mistral.requests(endpoint="speech_realtime"))
        assert (await ask(client))["status"] == "completed"
        assert len(await mistral.requests(endpoint="speech_realtime")) == tried, "sockets are left alone for a while"


async def test_speech_may_be_had_over_http_alone(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        running_gateway(mistral, tmp_path, speech_transport=SpeechTransport.HTTP, speech_spares=4) as gateway,
        gateway.connect() as client,
    ):
        response = await ask(client)
        assert_says(heard(client, response), CLAUSES)
        assert response["usage"]["output_token_details"]["audio_tokens"] > 0
        assert not await mistral.requests(endpoint="speech_realtime")


async def test_or_over_sockets_alone(mistral: SimulatorHandle, tmp_path: Path) -> None:
    await mistral.add_fault("status", endpoint="speech_realtime", status=503)
    async with running_gateway(mistral, tmp_path, speech_transport=SpeechTransport.REALTIME) as gateway, gateway.connect() as client:
        assert (await ask(client))["status_details"]["error"]["code"] == "upstream_unavailable"
        assert not await mistral.requests(endpoint="speech")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "cut", "after_events": 3}, "upstream_disconnected"),
        ({"kind": "stall", "after_events": 3}, "upstream_timed_out"),
        ({"kind": "garbage", "after_events": 3}, "upstream_garbled"),
        ({"kind": "status", "status": 429}, "upstream_rate_limited"),
        ({"kind": "status", "status": 403}, "upstream_forbidden"),
    ],
)
async def test_what_goes_wrong_over_http_is_told_too(mistral: SimulatorHandle, tmp_path: Path, fault: dict[str, Any], code: str) -> None:
    options: dict[str, Any] = {"deadlines": IMPATIENT, "speech_transport": SpeechTransport.HTTP}
    async with running_gateway(mistral, tmp_path, **options) as gateway, gateway.connect() as client:
        await mistral.add_fault(endpoint="speech", times=1, **fault)
        response = await ask(client)
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == code
        assert len(heard(client, response)) == (0 if "status" in fault else 3 * CHUNK)
        again = await ask(client)
        assert again["status"] == "completed"
        assert_says(heard(client, again), CLAUSES)


@pytest.mark.parametrize("kind", ["cut", "error_event", "close", "garbage", "stall"])
@pytest.mark.parametrize("chunks", [1, 15])
async def test_what_came_before_the_break_is_heard_to_its_end(mistral: SimulatorHandle, tmp_path: Path, kind: str, chunks: int) -> None:
    """Mistral speaks faster than one hears: what it has said is played out although its socket broke, and nothing of it twice."""
    await mistral.put_script({"chat": {"replies": [{"text": ANSWER}]}, "speech": {"ms_per_character": SLOW_MS_PER_CHARACTER}})
    created_and_updated = 2
    await mistral.add_fault(kind, endpoint="speech_realtime", times=1, after_events=created_and_updated + chunks)
    async with running_gateway(mistral, tmp_path, deadlines=IMPATIENT) as gateway, gateway.connect() as client:
        response = await ask(client)
        assert response["status"] == "failed"
        assert len(heard(client, response)) == chunks * CHUNK
        item = response["output"][0]
        assert item["status"] == "incomplete"
        assert not client.all("error")
        assert not await mistral.requests(endpoint="speech")
        again = await ask(client)
        assert_says(heard(client, again), CLAUSES, SLOW_MS_PER_CHARACTER)


@pytest.mark.parametrize("kind", ["cut", "close"])
async def test_a_break_between_clauses_is_not_noticed(gateway: GatewayHandle, mistral: SimulatorHandle, kind: str) -> None:
    """The first clause was heard whole: a new socket goes on with the second."""
    first = (len(CLAUSES[0]) * MS_PER_CHARACTER + 99) // 100
    await mistral.add_fault(kind, endpoint="speech_realtime", times=1, after_events=2 + first + 1)
    async with gateway.connect() as client:
        response = await ask(client)
        assert response["status"] == "completed"
        assert_says(heard(client, response), CLAUSES)
    assert len(await mistral.requests(endpoint="speech_realtime")) == 2


async def test_a_dead_spare_is_not_noticed(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, speech_spares=1) as gateway, gateway.connect() as client:
        await ask(client)
        await eventually(lambda: len(mistral.simulator.sockets) == 1, "a spare")
        await mistral.admin("POST", "/sockets/close", {"endpoint": "speech_realtime", "abort": True})
        response = await ask(client)
        assert response["status"] == "completed"
        assert_says(heard(client, response), CLAUSES)


async def test_a_rotated_key_is_used_at_once_although_spares_stand_open(mistral: SimulatorHandle, tmp_path: Path) -> None:
    await mistral.add_key("second", "simulated-mistral-key-0002")
    async with running_gateway(mistral, tmp_path, speech_spares=2) as gateway, gateway.connect() as client:
        await ask(client)
        await eventually(lambda: len(mistral.simulator.sockets) >= 1, "a spare")
        replace_file(gateway.files.credential, "simulated-mistral-key-0002")
        await mistral.admin("PATCH", "/keys/test", {"state": "revoked"})
        before = len(await mistral.requests(endpoint="speech_realtime"))
        assert (await ask(client))["status"] == "completed"
        after = (await mistral.requests(endpoint="speech_realtime"))[before:]
        assert {request["key_id"] for request in after} == {"second"}
