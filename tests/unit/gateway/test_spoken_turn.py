"""Whole turns over the socket: a gateway and the scripted simulator, every event checked against OpenAI's types."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mistral_voice.contract.gateway_config import Policy
from mistral_voice.simulator.scripted.tone import dominant_hz, tone_hz
from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import clicks, noise, silence, speech
from tests.support.waiting import eventually
from tests.unit.gateway.conftest import MS_PER_CHARACTER

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris, of course. It has two million people."
HEARD = {"transcription": {"model": "gpt-4o-mini-transcribe"}}


def without_repeats(types: list[str]) -> list[str]:
    return [name for index, name in enumerate(types) if index == 0 or types[index - 1] != name]


async def test_a_spoken_question_gets_a_spoken_answer_in_the_protocols_order(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    async with gateway.connect(model="gpt-realtime") as client:
        await client.update(audio={"input": HEARD})
        await client.say(silence(500) + speech(QUESTION) + silence(1500))
        done = (await client.until("response.done"))["response"]
    order = [name for name in client.types if "transcription" not in name]
    delta, audio = "response.output_audio_transcript.delta", "response.output_audio.delta"
    inside = [name for name in order if name in (delta, audio)]
    assert inside.index(delta) < inside.index(audio)
    assert without_repeats([name for name in order if name not in (delta, audio)]) == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    transcript = client.all("conversation.item.input_audio_transcription.completed")[0]
    assert transcript["transcript"] == QUESTION
    assert transcript["usage"]["type"] == "duration"
    assert 1.0 < transcript["usage"]["seconds"] < 4.0
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": ANSWER}]
    assert done["usage"]["input_tokens"] > 0
    assert done["usage"]["output_tokens"] > 0
    assert_ids_fit(client.events)


def assert_ids_fit(events: list[dict[str, Any]]) -> None:
    """All events of a turn speak of the same items and the same response."""
    user, assistant = (event["item"]["id"] for event in events if event["type"] == "conversation.item.added")
    response = next(event["response"]["id"] for event in events if event["type"] == "response.created")
    for event in events:
        kind = event["type"]
        if kind.startswith("input_audio_buffer.") or "input_audio_transcription" in kind:
            assert event["item_id"] == user
        elif kind.startswith("response.") and "response_id" in event:
            assert event["response_id"] == response
            assert event["output_index"] == 0
            assert event.get("item_id", assistant) == assistant
            assert event.get("content_index", 0) == 0
    assert [event["previous_item_id"] for event in events if event["type"] == "conversation.item.added"] == [None, user]


async def test_the_caller_hears_the_words_that_were_written(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """The simulator's pitch follows from the text: each segment's audio is that segment's, in order, at full length and level."""
    async with gateway.connect() as client:
        await client.say(speech(QUESTION) + silence(1200))
        await client.until("response.done")
    samples = np.frombuffer(client.spoken_audio(), "<i2").astype(np.float32) / np.float32(32768)
    segments = [delta["delta"].strip() for delta in client.all("response.output_audio_transcript.delta")]
    assert segments == ["The capital of France is Paris,", "of course.", "It has two million people."]
    position = 0
    for text in segments:
        length = int(len(text) * MS_PER_CHARACTER * 24)
        heard = samples[position : position + length]
        assert dominant_hz(heard, 24_000) == pytest.approx(tone_hz(text), rel=0.03)
        position += length
    assert len(samples) == pytest.approx(position, abs=2400)
    assert len(await mistral.requests(endpoint="speech_realtime")) == 1


async def test_mistral_is_asked_as_the_reference_says(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    async with gateway.connect() as client:
        for _ in range(2):
            await client.say(speech(QUESTION) + silence(1200))
            await client.until("response.done")
            await client.has_heard_all()
    chats = await mistral.requests(endpoint="chat")
    body = chats[1]["body"]
    assert body["model"] == "mistral-medium-latest"
    assert body["stream"] is True
    assert body["reasoning_effort"] == "none"
    assert chats[0]["body"]["prompt_cache_key"] == body["prompt_cache_key"]
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][2]["content"] == ANSWER
    transcription = (await mistral.requests(endpoint="transcription_realtime"))[0]
    messages = [message["body"]["type"] for message in transcription["messages"] if message["direction"] == "in"]
    assert messages[0] == "session.update"
    assert messages[-1] == "input_audio.end"


async def test_thinking_is_never_spoken(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(
        {
            "transcription": {"listening": "anything", "turns": [{"text": "Hm?"}]},
            "chat": {"replies": [{"text": "An answer.", "thinking": "A secret thought.", "content_as_list": True}]},
        }
    )
    async with gateway.connect() as client:
        await client.say(speech(QUESTION) + silence(1200))
        done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "An answer."
    assert "thought" not in str(client.events)


@pytest.mark.parametrize(
    "audio",
    [silence(4000), noise(4000, -45), noise(4000, -30), clicks(4000)],
    ids=["silence", "quiet noise", "loud noise", "clicks"],
)
async def test_what_is_no_speech_makes_no_turn(gateway: GatewayHandle, audio: bytes) -> None:
    async with gateway.connect() as client:
        await client.say(audio)
        await client.say(speech(QUESTION) + silence(1200))
        await client.until("response.done")
    started = client.all("input_audio_buffer.speech_started")
    assert len(started) == 1
    assert 3500 <= started[0]["audio_start_ms"] <= 4400


async def test_positions_are_those_of_the_speech(gateway: GatewayHandle) -> None:
    question = speech(QUESTION)
    length_ms = len(question) // 48
    async with gateway.connect() as client:
        await client.say(silence(2000) + question + silence(1500))
        await client.until("response.done")
    start, stop = client.all("input_audio_buffer.speech_started")[0], client.all("input_audio_buffer.speech_stopped")[0]
    assert start["audio_start_ms"] == pytest.approx(2000 - 300, abs=150)
    assert stop["audio_end_ms"] == pytest.approx(2000 + length_ms + 500, abs=250)


async def test_two_questions_in_one_burst_are_two_turns(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script({"transcription": {"listening": "anything", "conversations": [[{"text": "One."}], [{"text": "Two."}]]}})
    async with gateway.connect() as client:
        await client.update(audio={"input": {**HEARD, "turn_detection": {"type": "server_vad", "interrupt_response": False}}})
        await client.say(speech(QUESTION) + silence(1500) + speech("And how many people live there?") + silence(1500), chunk_ms=5000)
        for _ in range(2):
            await client.until("conversation.item.input_audio_transcription.completed")

        async def both_answered() -> bool:
            """One reply may answer both: it waits while the caller speaks on."""
            asked = [request["body"]["messages"] for request in await mistral.requests(endpoint="chat")]
            newest = str(asked[-1]) if asked else ""
            return "One." in newest and "Two." in newest

        await eventually(both_answered, "a reply to both questions")
    heard = [event["transcript"] for event in client.all("conversation.item.input_audio_transcription.completed")]
    assert heard == ["One.", "Two."]
    starts = [event["audio_start_ms"] for event in client.all("input_audio_buffer.speech_started")]
    assert starts[1] > starts[0] + 2000
    sent = [request["audio_ms"] for request in await mistral.requests(endpoint="transcription_realtime")]
    assert all(1000 < milliseconds < 4500 for milliseconds in sent)


async def test_push_to_talk_by_the_client(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        await client.update(audio={"input": {**HEARD, "turn_detection": None}})
        await client.say(speech(QUESTION))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert client.all("conversation.item.input_audio_transcription.completed")[0]["transcript"] == QUESTION
    assert not client.all("input_audio_buffer.speech_started")


async def test_a_whole_question_at_once_with_a_commit_under_turn_detection(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    question = speech(QUESTION)
    async with gateway.connect() as client:
        await client.update(audio={"input": {"turn_detection": {"create_response": False}}})
        await client.say(question, chunk_ms=8000)
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    sent = sum(request["audio_ms"] for request in await mistral.requests(endpoint="transcription_realtime"))
    assert sent == pytest.approx(len(question) / 48, abs=60)


async def test_push_to_talk_by_policy_refuses_detection(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, turn_detection="push_to_talk") as gateway, gateway.connect() as client:
        assert client.session["audio"]["input"]["turn_detection"] is None
        await client.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}})
        error = (await client.until("error"))["error"]
        assert error["code"] == "turn_detection_not_allowed"
        assert "push to talk" in error["message"]
        await client.say(speech(QUESTION) + silence(1000))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_a_text_question_is_answered_in_text_or_in_speech(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    async with gateway.connect() as client:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
        await client.send("conversation.item.create", item=item)
        await client.send("response.create", response={"output_modalities": ["text"], "metadata": {"topic": "test"}})
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"] == [{"type": "output_text", "text": ANSWER}]
        assert done["metadata"] == {"topic": "test"}
        assert not await mistral.requests(endpoint="speech_realtime")
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == ANSWER
        assert client.spoken_audio()


async def test_speech_interrupts_the_reply(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(
        {
            "transcription": {"listening": "anything", "turns": [{"text": "Tell me a long story."}]},
            "chat": {"replies": [{"text": "Once upon a time there was a king. " * 30, "token_ms": 20}]},
        }
    )
    async with gateway.connect() as client:
        await client.say(speech(QUESTION) + silence(1200))
        await client.until("response.output_audio.delta")
        await client.say(speech("Stop, please stop talking now."))
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "cancelled"
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert done["output"][0]["status"] == "incomplete"
        await client.say(silence(1200))
        await client.until("response.created")


async def test_the_client_cancels_a_reply(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "On and on it goes. " * 30, "token_ms": 20}]}})
    async with gateway.connect() as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        done = (await client.until("response.done"))["response"]
        assert done["status_details"]["reason"] == "client_cancelled"
        await client.send("response.cancel", event_id="late")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "late")
        await client.send("response.create")
        assert (await client.until("response.created"))["response"]["status"] == "in_progress"


async def test_openais_names_are_mapped_and_semantic_detection_is_had(gateway: GatewayHandle) -> None:
    async with gateway.connect(model="gpt-4o-realtime-preview") as client:
        session = await client.update(
            model="gpt-realtime",
            tools=[],
            tool_choice="auto",
            tracing="auto",
            speed=1.2,
            audio={
                "input": {
                    "turn_detection": {"type": "semantic_vad", "eagerness": "high", "interrupt_response": False},
                    "noise_reduction": {"type": "near_field"},
                    **HEARD,
                },
                "output": {"voice": "ash", "format": {"type": "audio/pcm", "rate": 24000}},
            },
        )
    assert session["model"] == "mistral-medium-latest"
    assert session["audio"]["output"]["voice"] == "voice_478"
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": True,
        "interrupt_response": False,
    }
    assert session["audio"]["input"]["transcription"]["model"] == "voxtral-mini-transcribe-realtime-latest"
    assert session["tracing"] is None
    assert session["expires_at"] == client.session["expires_at"]


async def test_policy_is_what_a_client_may_choose(mistral: SimulatorHandle, tmp_path: Path) -> None:
    policy = Policy(allowed_models=("ministral-8b-latest",), allowed_voices=("voice_592",), instructions="Be brief.")
    async with running_gateway(mistral, tmp_path, policy=policy) as gateway:
        async with gateway.connect(model="ministral-8b-latest") as client:
            await client.update(instructions="Answer in rhyme.", audio={"output": {"voice": {"id": "voice_592"}}})
            await client.send("response.create")
            await client.until("response.done")
            chat = (await mistral.requests(endpoint="chat"))[-1]["body"]
            assert chat["model"] == "ministral-8b-latest"
            assert chat["messages"][0] == {"role": "system", "content": "Be brief.\n\nAnswer in rhyme."}
            assert "Be brief" not in str(client.events)
        status, text = await gateway.get(
            "/v1/realtime?model=mistral-large-4",
            headers={
                "Authorization": f"Bearer {gateway.token}",
                "Connection": "upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
        assert status == 403
        assert "doesn't offer the model 'mistral-large-4'" in text


async def test_settings_that_change_in_a_turns_trailing_silence_do_not_leave_it_open(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        await client.say(silence(300) + speech(QUESTION) + silence(150))
        await client.until("input_audio_buffer.speech_started")
        await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700}}})
        await client.say(silence(1500))
        await client.until("response.done")
    assert len(client.all("input_audio_buffer.speech_stopped")) == 1
