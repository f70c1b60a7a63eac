"""Telephone formats over the socket: in as they come, out as they are asked for, either way by itself."""

import base64
from typing import Any

import numpy as np
import pytest
import soxr

from mistral_voice.gateway.audio import g711
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.simulator.scripted.tone import dominant_hz, tone_hz
from tests.support.gateway import GatewayHandle, RealtimeClient
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech
from tests.unit.gateway.conftest import MS_PER_CHARACTER

QUESTION = "What is the capital of France?"
TELEPHONE = {"audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}


def on_the_telephone(audio: bytes, name: str) -> bytes:
    """Return PCM16 at 24 kHz as a telephone sends it."""
    samples = soxr.resample(np.frombuffer(audio, "<i2"), 24_000, 8_000)
    return g711.encoded(samples, AudioFormat(name))


async def append(client: RealtimeClient, audio: bytes, piece: int = 160) -> None:
    for start in range(0, len(audio), piece):
        await client.send("input_audio_buffer.append", audio=base64.b64encode(audio[start : start + piece]).decode())


def both(**formats: str) -> dict[str, Any]:
    return {side: {"format": {"type": name}} for side, name in formats.items()}


@pytest.mark.parametrize("name", list(TELEPHONE))
async def test_a_telephone_call_is_heard_and_answered_in_its_own_format(
    gateway: GatewayHandle, mistral: SimulatorHandle, name: str
) -> None:
    audio = on_the_telephone(silence(500) + speech(QUESTION) + silence(1500), name)
    async with gateway.connect() as client:
        session = await client.update(audio=both(input=name, output=name))
        assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": name}
        await append(client, audio)
        done = (await client.until("response.done"))["response"]
    assert done["status"] == "completed"
    assert done["audio"]["output"]["format"] == {"type": name}
    assert client.all("input_audio_buffer.speech_started")[0]["audio_start_ms"] == pytest.approx(200, abs=130)
    transcription = (await mistral.requests(endpoint="transcription_realtime"))[0]
    settings = next(message["body"] for message in transcription["messages"] if message["body"]["type"] == "session.update")
    assert settings["session"]["audio_format"] == {"encoding": TELEPHONE[name], "sample_rate": 8000}
    started, stopped = client.all("input_audio_buffer.speech_started")[0], client.all("input_audio_buffer.speech_stopped")[0]
    assert transcription["audio_ms"] == stopped["audio_end_ms"] - started["audio_start_ms"]
    heard = g711.decoded(client.spoken_audio(), AudioFormat(name)).astype(np.float32) / np.float32(32768)
    position = 0
    for delta in client.all("response.output_audio_transcript.delta"):
        length = int(len(delta["delta"].strip()) * MS_PER_CHARACTER * 8)
        piece = heard[position : position + length]
        assert dominant_hz(piece, 8_000) == pytest.approx(tone_hz(delta["delta"]), rel=0.03)
        position += length
    assert len(heard) == pytest.approx(position, abs=800)


async def test_in_and_out_are_chosen_apart_and_a_response_may_choose_its_own(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        session = await client.update(audio=both(output="audio/pcmu"))
        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["audio"]["output"]["format"] == {"type": "audio/pcmu"}
        telephone = len(client.spoken_audio())
        await client.send("response.create", response={"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}}})
        await client.until("response.done")
        assert len(client.spoken_audio()) - telephone == pytest.approx(6 * telephone, rel=0.01)
        assert (await client.update(audio={"output": {"format": None}}))["audio"]["output"]["format"]["type"] == "audio/pcm"


@pytest.mark.parametrize(
    ("audio_format", "param"),
    [({"type": "audio/opus"}, "type"), ({"type": "audio/pcm", "rate": 16000}, "rate"), ({"type": "audio/pcmu", "rate": 24000}, "rate")],
)
@pytest.mark.parametrize("side", ["input", "output"])
async def test_a_format_that_is_none_is_refused(gateway: GatewayHandle, side: str, audio_format: dict[str, Any], param: str) -> None:
    async with gateway.connect() as client:
        await client.send("session.update", session={"type": "realtime", "audio": {side: {"format": audio_format}}})
        error = (await client.until("error"))["error"]
        assert (error["code"], error["param"]) == ("invalid_value", f"session.audio.{side}.format.{param}")


async def test_a_session_may_change_from_the_telephone_and_back_between_turns(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    async with gateway.connect() as client:
        for name in ("audio/pcmu", "audio/pcm", "audio/pcma"):
            await client.update(audio=both(input=name))
            audio = silence(300) + speech(QUESTION) + silence(1200)
            await append(client, audio if name == "audio/pcm" else on_the_telephone(audio, name), 960)
            assert (await client.until("response.done"))["response"]["status"] == "completed"
    starts = [event["audio_start_ms"] for event in client.all("input_audio_buffer.speech_started")]
    turn_ms = (len(speech(QUESTION)) // 48) + 1500
    assert starts == pytest.approx([n * turn_ms for n in range(3)], abs=250)
