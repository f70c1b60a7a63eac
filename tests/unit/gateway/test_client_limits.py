"""What one client may send, and what it meets beyond that."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.gateway.client_limits import Bucket, ClientLimits, ClientMeter
from mistral_voice.gateway.upstream.transcriber import MOST_SOCKETS
from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import noise, silence
from tests.support.waiting import eventually


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 50)), max_size=50))
def test_a_bucket_gives_its_capacity_at_once_and_its_rate_in_the_long_run(steps: list[tuple[float, float]]) -> None:
    bucket, now_ms, taken = Bucket(100, 10, 0.0), 0.0, 0.0
    for pause_ms, amount in steps:
        now_ms += pause_ms
        if bucket.take_if_there(amount, now_ms):
            taken += amount
        assert taken <= 100 + now_ms / 100 + 1e-6


def test_an_overdrawn_bucket_says_when_it_is_even() -> None:
    bucket = Bucket(100, 10, 0.0)
    assert bucket.take(100, 0.0) == 0
    assert bucket.take(5, 0.0) == pytest.approx(500)
    assert bucket.take(0, 500.0) == pytest.approx(0)


def test_real_time_audio_is_never_held_up() -> None:
    meter = ClientMeter(ClientLimits(), 0.0)
    for frame in range(100_000):
        assert meter.message(frame * 20.0) == 0
        assert meter.audio(20, frame * 20.0) == 0


def test_audio_may_come_so_much_early_and_then_at_four_times_its_speed() -> None:
    meter = ClientMeter(ClientLimits(), 0.0)
    assert meter.audio(60_000, 0.0) == 0
    assert meter.audio(4000, 0.0) == pytest.approx(1000)
    assert meter.audio(4000, 2000.0) == 0


async def test_a_flood_of_useless_messages_ends_its_session_alone(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client, gateway.connect() as neighbour:
        allowed = ClientLimits().faults_at_once
        for number in range(allowed + 50):
            await client.socket.send_str("{" if number % 2 else json.dumps({"type": "response.cancel"}))
        assert await client.until_closed() == 1008
        assert allowed < len(client.all("error")) <= allowed + 10
        assert await gateway.metric("limits_hit_total", limit="faults") == 1
        await neighbour.send("response.create")
        assert (await neighbour.until("response.done"))["response"]["status"] == "completed"

    async def it_is_counted() -> bool:
        return await gateway.metric("sessions_ended_total", reason="too_many_faults") == 1

    await eventually(it_is_counted, "the count of the session's end")


async def test_too_many_responses_are_refused_and_the_session_goes_on(mistral: SimulatorHandle, tmp_path: Path) -> None:
    limits = ClientLimits(responses_at_once=2, responses_per_second=0.001)
    async with running_gateway(mistral, tmp_path, client_limits=limits) as gateway, gateway.connect() as client:
        for _ in range(2):
            await client.send("response.create")
            await client.until("response.done")
        await client.send("response.create", event_id="third")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", "third")
        assert await gateway.metric("limits_hit_total", limit="responses") == 1
        await client.update(instructions="Still there?")


async def test_too_many_turns_are_refused_and_few_have_a_socket(mistral: SimulatorHandle, tmp_path: Path) -> None:
    await mistral.add_fault("hang", endpoint="transcription_realtime")
    limits = ClientLimits(turns_at_once=8, turns_per_second=0.001)
    async with running_gateway(mistral, tmp_path, client_limits=limits) as gateway, gateway.connect() as client:
        await client.update(audio={"input": {"turn_detection": None}})
        for _ in range(10):
            await client.send("input_audio_buffer.append", audio=base64.b64encode(silence(100)).decode())
            await client.send("input_audio_buffer.commit", event_id="commit")
        for _ in range(2):
            error = (await client.until("error"))["error"]
            assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", "commit")
        assert len(client.all("input_audio_buffer.committed")) == 8
        assert await gateway.metric("limits_hit_total", limit="turns") == 2
        assert await gateway.metric("upstream_requests_total", kind="transcription") == MOST_SOCKETS


@pytest.mark.parametrize("busy", [False, True])
async def test_a_client_that_does_nothing_is_let_go(mistral: SimulatorHandle, tmp_path: Path, busy: bool) -> None:
    async with running_gateway(mistral, tmp_path, client_limits=ClientLimits(idle_seconds=0.3)) as gateway, gateway.connect() as client:
        if busy:
            await client.send("response.create")
        assert await client.until_closed() == 1000
        assert client.events[-1]["error"]["code"] == "session_idle"
        assert len(client.all("response.done")) == busy
        assert await gateway.metric("limits_hit_total", limit="idle") == 1


async def test_messages_that_come_too_quickly_wait_and_none_is_lost(mistral: SimulatorHandle, tmp_path: Path) -> None:
    limits = ClientLimits(messages_at_once=10, messages_per_second=20)
    async with running_gateway(mistral, tmp_path, client_limits=limits) as gateway, gateway.connect() as client:
        for number in range(40):
            await client.send("conversation.item.retrieve", item_id="none", event_id=f"e{number}")
        for number in range(40):
            assert (await client.until("error"))["error"]["event_id"] == f"e{number}"
        assert await gateway.metric("limits_hit_total", limit="message_rate") > 0


async def test_messages_wait_by_their_bytes_and_by_those_of_their_answers(mistral: SimulatorHandle, tmp_path: Path) -> None:
    limits = ClientLimits(text_bytes_at_once=45_000, text_bytes_per_second=5_000)
    async with running_gateway(mistral, tmp_path, client_limits=limits) as gateway, gateway.connect() as client:
        await client.update(instructions="x" * 20_000)
        assert await gateway.metric("limits_hit_total", limit="text_rate") == 0
        await client.update()
        assert await gateway.metric("limits_hit_total", limit="text_rate") > 0
        await client.update(instructions="Still there?")


async def test_a_client_that_must_wait_is_not_taken_for_dead(
    mistral: SimulatorHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pongs can't be read while its audio waits."""
    monkeypatch.setattr("mistral_voice.gateway.server.PING_SECONDS", 0.5)
    monkeypatch.setattr("mistral_voice.gateway.client_socket.PATIENCE_SECONDS", 0.02)
    limits = ClientLimits(audio_ahead_ms=1000, audio_speed=20)
    async with running_gateway(mistral, tmp_path, client_limits=limits) as gateway, gateway.connect() as client:
        await client.update(audio={"input": {"turn_detection": None}})
        for _ in range(50):
            await client.send("input_audio_buffer.append", audio=base64.b64encode(silence(500)).decode())
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
        assert await gateway.metric("limits_hit_total", limit="audio_rate") > 0


async def test_the_telephones_audio_counts_by_its_time_too(mistral: SimulatorHandle, tmp_path: Path) -> None:
    limits = ClientLimits(audio_ahead_ms=2000, audio_speed=4)
    async with running_gateway(mistral, tmp_path, client_limits=limits) as gateway, gateway.connect() as client:
        await client.update(audio={"input": {"turn_detection": None, "format": {"type": "audio/pcmu"}}})
        await client.send("input_audio_buffer.append", audio=base64.b64encode(bytes(4000 * 8)).decode())
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
        assert await gateway.metric("limits_hit_total", limit="audio_rate") > 0


async def test_the_longest_legal_append_is_taken_in_slices_where_it_is_allowed(mistral: SimulatorHandle, tmp_path: Path) -> None:
    """15 MiB of base64 are four minutes of audio. The neighbour's reply comes meanwhile."""
    audio = noise(235_000, -30)
    encoded = base64.b64encode(audio).decode()
    assert 14.0 < len(encoded) / 1024 / 1024 < 15.1
    limits = ClientLimits(audio_ahead_ms=1e9)
    async with (
        running_gateway(mistral, tmp_path, client_limits=limits, max_message_bytes=16 * 1024 * 1024) as gateway,
        gateway.connect() as client,
        gateway.connect() as neighbour,
    ):
        await client.update(audio={"input": {"turn_detection": None}})
        await client.send("input_audio_buffer.append", audio=encoded)
        await neighbour.send("response.create")
        await neighbour.until("response.done")
        await client.send("input_audio_buffer.commit")
        async with asyncio.timeout(60):
            await client.until("input_audio_buffer.committed")


async def test_a_larger_message_than_allowed_ends_the_session(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, max_message_bytes=65_536) as gateway, gateway.connect() as client:
        await client.socket.send_str(" " * 65_537)
        assert await client.until_closed() == 1009
        assert await gateway.metric("limits_hit_total", limit="message_size") == 1

        async def is_counted() -> bool:
            return await gateway.metric("sessions_ended_total", reason="message_too_big") == 1

        await eventually(is_counted, "the session's end to be counted")
