"""The official OpenAI client for Python, unchanged, with only its address and key changed."""

import asyncio
import base64
from pathlib import Path

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent

from tests.support.gateway import DEADLINE_SECONDS, GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech

QUESTION = "What is the capital of France?"


def client_of(gateway: GatewayHandle, key: str | None = None) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{gateway.base_url}/v1", api_key=key or gateway.token)


async def test_a_spoken_turn_with_its_usual_settings(gateway: GatewayHandle) -> None:
    seen: list[RealtimeServerEvent] = []
    async with asyncio.timeout(DEADLINE_SECONDS), client_of(gateway).realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "model": "gpt-realtime",
                "instructions": "Answer briefly.",
                "output_modalities": ["audio"],
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": {"model": "gpt-4o-mini-transcribe"},
                        "turn_detection": {"type": "semantic_vad", "interrupt_response": True},
                    },
                    "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "ash"},
                },
            }
        )
        audio = speech(QUESTION) + silence(1200)
        for start in range(0, len(audio), 4800):
            await connection.input_audio_buffer.append(audio=base64.b64encode(audio[start : start + 4800]).decode())
        async for event in connection:
            seen.append(event)
            if event.type == "response.done":
                break
    kinds = [event.type for event in seen]
    assert kinds[:2] == ["session.created", "session.updated"]
    assert "error" not in kinds
    heard = next(event.transcript for event in seen if event.type == "conversation.item.input_audio_transcription.completed")
    said = next(event.transcript for event in seen if event.type == "response.output_audio_transcript.done")
    audio_bytes = sum(len(base64.b64decode(event.delta)) for event in seen if event.type == "response.output_audio.delta")
    assert heard == QUESTION
    assert said == "The capital of France is Paris, of course. It has two million people."
    assert audio_bytes > 48_000


async def test_a_text_turn(gateway: GatewayHandle) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS), client_of(gateway).realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello!"}]}
        )
        await connection.response.create()
        text = ""
        async for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                assert event.response.status == "completed"
                break
    assert text.startswith("The capital of France is Paris")


async def test_a_wrong_key_is_told_as_401(gateway: GatewayHandle) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus, match="401"):
        async with asyncio.timeout(DEADLINE_SECONDS), client_of(gateway, "wrong").realtime.connect(model="gpt-realtime"):
            pass


async def test_the_end_of_a_session_is_understood(mistral: SimulatorHandle, tmp_path: Path) -> None:
    from websockets.exceptions import ConnectionClosedOK

    async with (
        running_gateway(mistral, tmp_path, max_seconds=1) as gateway,
        asyncio.timeout(DEADLINE_SECONDS),
        client_of(gateway).realtime.connect(model="gpt-realtime") as connection,
    ):
        seen: list[RealtimeServerEvent] = []
        with pytest.raises(ConnectionClosedOK):
            await receive_into(seen, connection)
    assert seen[-1].type == "error"
    assert seen[-1].error.code == "session_expired"


async def receive_into(events: list[RealtimeServerEvent], connection: AsyncRealtimeConnection) -> None:
    while True:
        events.append(await connection.recv())
