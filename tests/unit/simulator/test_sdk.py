"""The official SDK, unchanged, against the simulator: what it parses without complaint is on the wire as it should be."""

import base64
import io
import wave
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError
from mistralai.client.models import (
    AssistantMessage,
    AudioFormat,
    BaseModelCard,
    File,
    FunctionCall,
    SpeechResponse,
    SpeechStreamAudioDelta,
    SpeechStreamDone,
    ThinkChunk,
    ToolCall,
    ToolMessage,
    TranscriptionStreamDone,
    TranscriptionStreamTextDelta,
    TurnDetectionConfig,
    TurnDetectionEndEvent,
    TurnDetectionStartEvent,
    UserMessage,
    UsersAPIWhoamiSecurity,
)
from mistralai.extra.exceptions import RealtimeSpeechException, RealtimeTranscriptionException, RealtimeTranscriptionWSError
from mistralai.extra.realtime import UnknownRealtimeEvent, audio_bytes

from mistral_voice.simulator.scripted.tone import dominant_hz, tone_hz
from tests.support.simulator import SimulatorHandle
from tests.unit.simulator.clients import CHAT_MODEL, SPEECH_MODEL, TRANSCRIPTION_MODEL, silence, voice


@pytest.fixture
async def sdk(mistral: SimulatorHandle) -> AsyncIterator[Mistral]:
    async with Mistral(api_key=mistral.key, server_url=mistral.base_url) as client:
        yield client


async def test_models_are_parsed_as_cards(sdk: Mistral) -> None:
    listing = await sdk.models.list_async()
    assert listing.data
    assert all(isinstance(model, BaseModelCard) for model in listing.data)
    cards = {model.id: model for model in listing.data if isinstance(model, BaseModelCard)}
    assert isinstance(cards["mistral-large-2407"].deprecation, datetime)
    capabilities = cards["voxtral-mini-transcribe-realtime-3-0"].audio_transcription_capabilities
    assert capabilities
    assert capabilities.streaming_delays_ms
    assert capabilities.turn_detection
    card = await sdk.models.retrieve_async(model_id=CHAT_MODEL)
    assert isinstance(card, BaseModelCard)
    assert card.capabilities.completion_chat


async def test_whoami(mistral: SimulatorHandle, sdk: Mistral) -> None:
    answer = await sdk.beta.users.whoami_async(security=UsersAPIWhoamiSecurity(bearer_user_context_auth=mistral.key))
    assert answer.principal.principal_type == "service_account"
    assert answer.workspace
    assert answer.workspace.name == "default"


async def test_voices(sdk: Mistral) -> None:
    with pytest.deprecated_call(match="Offset pagination"):
        page = await sdk.audio.voices.list_async(limit=3, offset=0)
    assert (len(page.items), page.total, page.items[0].id) == (3, 8, "voice_478")
    names = []
    cursor = await sdk.audio.voices.search_async(page_size=3)
    while cursor is not None:
        names += [item.name for item in cursor.result.data]
        # The SDK's `next` is a function that is awaited for the next page, or for None.
        cursor = await cursor.next()  # type: ignore[misc]
    assert len(names) == 8


async def test_a_chat_stream(mistral: SimulatorHandle, sdk: Mistral) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "Four it is.", "thinking": "Two and two."}]}})
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    stream = await sdk.chat.stream_async(
        model=CHAT_MODEL,
        messages=messages,
        reasoning_effort="none",
        prompt_cache_key="session-1",
        service_tier="auto",
        temperature=0.3,
    )
    text, thoughts, usage, reason = "", 0, None, None
    async for event in stream:
        choice = event.data.choices[0]
        if isinstance(choice.delta.content, str):
            text += choice.delta.content
        elif isinstance(choice.delta.content, list):
            thoughts += sum(isinstance(chunk, ThinkChunk) for chunk in choice.delta.content)
        usage, reason = event.data.usage or usage, choice.finish_reason or reason
    assert (text, thoughts, reason) == ("Four it is.", 1, "stop")
    assert usage is not None
    assert usage.total_tokens


async def test_a_chat_with_tools(mistral: SimulatorHandle, sdk: Mistral) -> None:
    await mistral.put_script({"chat": {"replies": [{"tool_calls": [{"name": "clock", "arguments": "{}"}]}, {"text": "It is noon."}]}})
    tools: list[Any] = [{"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}]
    messages: list[Any] = [UserMessage(content="What time is it?")]
    answer = await sdk.chat.complete_async(model=CHAT_MODEL, messages=messages, tools=tools)
    assert answer.choices[0].finish_reason == "tool_calls"
    asked = answer.choices[0].message
    assert asked
    assert asked.tool_calls
    call = asked.tool_calls[0]
    assert call.function.name == "clock"
    messages += [asked, ToolMessage(content="noon", tool_call_id=call.id, name="clock")]
    answer = await sdk.chat.complete_async(model=CHAT_MODEL, messages=messages, tools=tools)
    assert answer.choices[0].message
    assert answer.choices[0].message.content == "It is noon."


async def test_illegal_messages_raise_with_the_code(sdk: Mistral) -> None:
    call = ToolCall(id="call_1234567", function=FunctionCall(name="f", arguments="{}"))
    messages: list[Any] = [
        UserMessage(content="x"),
        AssistantMessage(tool_calls=[call]),
        ToolMessage(content="y", tool_call_id="call_1234567"),
    ]
    with pytest.raises(SDKError) as refused:
        await sdk.chat.complete_async(model=CHAT_MODEL, messages=messages)
    assert refused.value.status_code == 400
    assert '"code":"3280"' in refused.value.body


async def test_a_wrong_key_raises_401(mistral: SimulatorHandle) -> None:
    async with Mistral(api_key="wrong", server_url=mistral.base_url) as client:
        with pytest.raises(SDKError) as refused:
            await client.models.list_async()
        assert refused.value.status_code == 401
        with pytest.raises(RealtimeTranscriptionException, match="401"):
            await client.audio.realtime.connect(model=TRANSCRIPTION_MODEL)


async def test_a_validation_error_is_parsed(sdk: Mistral) -> None:
    with pytest.raises(HTTPValidationError) as refused:
        await sdk.audio.speech.complete_async(input="", response_format="pcm")
    assert refused.value.data.detail
    assert refused.value.data.detail[0].loc == ["body", "input"]


async def test_a_rate_limit_raises_429_with_its_headers(mistral: SimulatorHandle, sdk: Mistral) -> None:
    await mistral.add_fault("status", status=429, retry_after_s=2)
    with pytest.raises(SDKError) as refused:
        await sdk.models.list_async()
    assert refused.value.status_code == 429
    assert refused.value.headers["retry-after"] == "2"


async def test_speech_whole_and_streamed(sdk: Mistral) -> None:
    answer = await sdk.audio.speech.complete_async(input="Good morning.", model=SPEECH_MODEL, voice_id="voice_478", response_format="pcm")
    assert isinstance(answer, SpeechResponse)
    samples = np.frombuffer(base64.b64decode(answer.audio_data), "<f4")
    assert dominant_hz(samples, 24_000) == tone_hz("Good morning.")
    audio = b""
    stream = await sdk.audio.speech.complete_async(input="Good morning.", voice_id="voice_478", response_format="pcm", stream=True)
    async for event in stream:
        match event.data:
            case SpeechStreamAudioDelta(audio_data=data):
                audio += base64.b64decode(data)
            case SpeechStreamDone(usage=usage):
                assert usage.total_tokens
            case other:
                pytest.fail(f"{other!r} was not understood")
    assert audio == samples.tobytes()


async def test_realtime_speech(sdk: Mistral) -> None:
    async def words() -> AsyncIterator[str]:
        for word in ("Good ", "morning."):
            yield word

    events = [
        event async for event in sdk.audio.realtime_speech.speak_stream(words(), SPEECH_MODEL, voice_id="voice_478", response_format="pcm")
    ]
    assert not any(isinstance(event, UnknownRealtimeEvent) for event in events)
    assert isinstance(events[-1], SpeechStreamDone)
    samples = np.frombuffer(b"".join(audio_bytes(event) for event in events if isinstance(event, SpeechStreamAudioDelta)), "<f4")
    assert dominant_hz(samples, 24_000) == tone_hz("Good morning.")


async def test_realtime_speech_with_an_unknown_voice(sdk: Mistral) -> None:
    async with await sdk.audio.realtime_speech.connect(SPEECH_MODEL, voice_id="voice_0") as connection:
        with pytest.raises(RealtimeSpeechException, match="Voice 'voice_0' not found") as refused:
            [event async for event in connection]
    assert refused.value.code == 1008


async def test_realtime_transcription(mistral: SimulatorHandle, sdk: Mistral) -> None:
    await mistral.put_script({"transcription": {"turns": [{"text": "Hello you there", "word_ms": 100}]}})

    async def audio() -> AsyncIterator[bytes]:
        for chunk in (silence(100), voice(500), silence(700)):
            yield chunk

    events = [
        event
        async for event in sdk.audio.realtime.transcribe_stream(
            audio(),
            TRANSCRIPTION_MODEL,
            AudioFormat(encoding="pcm_s16le", sample_rate=16_000),
            target_streaming_delay_ms=480,
            context_bias=["there"],
            turn_detection=TurnDetectionConfig(min_silence_ms=400),
        )
    ]
    assert not any(isinstance(event, UnknownRealtimeEvent) for event in events)
    assert "".join(event.text for event in events if isinstance(event, TranscriptionStreamTextDelta)) == "Hello you there"
    assert [type(event) for event in events if isinstance(event, TurnDetectionStartEvent | TurnDetectionEndEvent)] == [
        TurnDetectionStartEvent,
        TurnDetectionEndEvent,
    ]
    done = events[-1]
    assert isinstance(done, TranscriptionStreamDone)
    assert (done.text, done.language) == ("Hello you there", "en")


async def test_realtime_transcription_with_an_unknown_model(sdk: Mistral) -> None:
    with pytest.raises(RealtimeTranscriptionWSError, match="Invalid model: voxtral-none"):
        await sdk.audio.realtime.connect("voxtral-none")


async def test_a_recording(mistral: SimulatorHandle, sdk: Mistral) -> None:
    await mistral.put_script({"transcription": {"turns": [{"text": "One."}]}})
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(voice(300))
    recording = File(content=file.getvalue(), file_name="a.wav")
    answer = await sdk.audio.transcriptions.complete_async(model="voxtral-mini-transcribe-latest", file=recording)
    assert answer.text == "One."
    stream = await sdk.audio.transcriptions.stream_async(model="voxtral-mini-transcribe-latest", file=recording)
    kinds = [event.event async for event in stream]
    assert kinds[-1] == "transcription.done"


async def test_a_browsers_token(sdk: Mistral) -> None:
    answer = await sdk.realtime.sessions.create_async(request={"purpose": "realtime", "model": TRANSCRIPTION_MODEL})
    assert answer.client_secret.value.startswith("rt_")
    assert answer.client_secret.expires_at == answer.expires_at
