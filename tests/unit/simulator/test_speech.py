import base64
import io
import json
import wave
from typing import Any

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from mistral_voice.simulator.dialect import Dialect, SampleFormat
from mistral_voice.simulator.scripted.tone import dominant_hz, tone_hz
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.virtual_clock import VirtualClock
from tests.unit.simulator.clients import SPEECH_MODEL, silence, sse, voice

SAY: dict[str, Any] = {"input": "Paris is the capital of France.", "model": SPEECH_MODEL, "voice_id": "voice_478", "response_format": "pcm"}


async def said(http: aiohttp.ClientSession, body: dict[str, Any]) -> bytes:
    async with http.post("/v1/audio/speech", json=body) as response:
        assert response.status == 200, await response.text()
        return base64.b64decode((await response.json())["audio_data"])


async def streamed(http: aiohttp.ClientSession, body: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    async with http.post("/v1/audio/speech", json={**body, "stream": True}) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        return [(name, json.loads(data)) async for name, data in sse(response)]


def pcm(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, "<f4")


async def test_speech_is_float32_at_24_khz_with_the_texts_pitch_and_length(http: aiohttp.ClientSession) -> None:
    samples = pcm(await said(http, SAY))
    assert len(samples) == len(SAY["input"]) * 1440
    assert dominant_hz(samples, 24_000) == tone_hz(SAY["input"])
    assert 0.25 < float(np.max(np.abs(samples))) < 0.31


async def test_the_stream_carries_the_same_audio_as_the_whole(http: aiohttp.ClientSession) -> None:
    events = await streamed(http, SAY)
    assert [name for name, _ in events] == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]
    assert [event["type"] for _, event in events] == [name for name, _ in events]
    assert all(set(event) == {"type", "audio_data"} for _, event in events[:-1])
    assert b"".join(base64.b64decode(event["audio_data"]) for _, event in events[:-1]) == await said(http, SAY)
    assert events[-1][1]["usage"]["total_tokens"] > 0


async def test_a_text_can_fix_its_pitch(http: aiohttp.ClientSession) -> None:
    assert dominant_hz(pcm(await said(http, {**SAY, "input": "Here comes tone 1750, hear it."})), 24_000) == 1750


async def test_a_key_can_have_its_own_pitch(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"speech": {"tone_hz": 950}}, key_id="test")
    assert dominant_hz(pcm(await said(http, SAY)), 24_000) == 950


async def test_wav_has_a_header(http: aiohttp.ClientSession) -> None:
    data = await said(http, {**SAY, "response_format": "wav"})
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.getnframes() == len(SAY["input"]) * 1440


async def test_samples_and_rate_are_a_dialect() -> None:
    dialect = Dialect(speech_sample_format=SampleFormat.INT16, speech_sample_rate=16_000)
    async with (
        running_simulator(dialect=dialect) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
    ):
        samples = np.frombuffer(await said(http, SAY), "<i2").astype(np.float32) / np.float32(32768)
    assert len(samples) == len(SAY["input"]) * 960
    assert dominant_hz(samples, 16_000) == tone_hz(SAY["input"])


async def test_compressed_formats_come_only_from_a_script(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/audio/speech", json={**SAY, "response_format": "mp3"}) as response:
        assert response.status == 422
        assert "mp3" in (await response.json())["detail"][0]["msg"]
    await mistral.put_script({"speech": {"canned": {"mp3": base64.b64encode(b"ID3 something").decode()}}})
    assert await said(http, {**SAY, "response_format": "mp3"}) == b"ID3 something"
    assert len(await streamed(http, {**SAY, "response_format": "mp3"})) == 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"input": ""}, 422),
        ({"input": "a" * 10_001}, 422),
        ({"response_format": "aiff"}, 422),
        ({"expressiveness": 0.5}, 422),
        ({"voice_id": "voice_0"}, 404),
        ({"ref_audio": "UklGRg=="}, 422),
        ({"voice_id": None, "ref_audio": "%%"}, 422),
        ({"model": "mistral-medium-latest"}, 400),
        ({"input": None}, 422),
    ],
)
async def test_a_wrong_request_is_refused(http: aiohttp.ClientSession, change: dict[str, Any], status: int) -> None:
    async with http.post("/v1/audio/speech", json={**SAY, **change}) as response:
        assert response.status == status


async def test_a_reference_recording_can_stand_for_the_voice(http: aiohttp.ClientSession) -> None:
    assert await said(http, {**SAY, "voice_id": None, "ref_audio": "UklGRg=="})


async def test_the_pace_of_speech_is_exact() -> None:
    clock = VirtualClock()
    script = {"speech": {"first_audio_ms": 300, "speed": 2.0, "chunk_ms": 200, "ms_per_character": 100}}
    async with (
        running_simulator(script, clock=clock) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
    ):
        started = clock.now()
        assert len(await streamed(http, {**SAY, "input": "0123456789"})) == 6
        assert round((clock.now() - started) * 1000, 6) == 300 + 4 * 200 / 2


def wav(audio: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(audio)
    return file.getvalue()


async def test_a_recording_is_transcribed_whole_or_as_a_stream(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"transcription": {"turns": [{"text": "One."}, {"text": "Two."}]}})

    def form(**more: str) -> aiohttp.FormData:
        data = aiohttp.FormData({"model": "voxtral-mini-transcribe-latest", **more})
        data.add_field("file", wav(voice(500) + silence(500)), filename="a.wav")
        return data

    async with http.post("/v1/audio/transcriptions", data=form()) as response:
        answer = await response.json()
    assert (answer["text"], answer["language"], answer["usage"]["prompt_audio_seconds"]) == ("One. Two.", "en", 1)
    assert answer["segments"] == [{"type": "transcription_segment", "text": "One. Two.", "start": 0.0, "end": 1.0, "speaker_id": None}]
    async with http.post("/v1/audio/transcriptions", data=form(stream="true", language="fr")) as response:
        names = [name async for name, _ in sse(response)]
    assert names == ["transcription.language", "transcription.text.delta", "transcription.segment", "transcription.done"]


async def test_a_recording_that_is_none_is_refused(http: aiohttp.ClientSession) -> None:
    for fields, status in (
        ({"model": "voxtral-mini-transcribe-latest", "file": b"noise"}, 422),
        ({"model": "voxtral-mini-transcribe-latest"}, 422),
        ({"file": wav(b"")}, 422),
        ({"model": "mistral-medium-latest", "file": wav(b"")}, 400),
    ):
        data = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields.items():
            data.add_field(name, value, filename="a.wav" if name == "file" else None)
        async with http.post("/v1/audio/transcriptions", data=data) as response:
            assert response.status == status
    async with http.post("/v1/audio/transcriptions", json={}) as response:
        assert response.status == 422
