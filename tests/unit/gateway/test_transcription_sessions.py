"""Transcription sessions over the socket."""

from tests.support.gateway import GatewayHandle
from tests.support.speech import silence, speech

QUESTION = "What is the capital of France?"


async def test_a_transcription_session_chosen_when_connecting(gateway: GatewayHandle) -> None:
    async with gateway.connect(query="intent=transcription&model=gpt-4o-transcribe") as client:
        assert client.session["type"] == "transcription"
        assert client.session["object"] == "realtime.transcription_session"
        assert set(client.session["audio"]) == {"input"}
        await client.say(speech(QUESTION) + silence(1200))
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == QUESTION
        assert heard["usage"]["seconds"] > 1
        await client.send("response.create")
        assert (await client.until("error", "response.created"))["error"]["code"] == "not_available"


async def test_a_transcription_session_chosen_by_its_first_update(gateway: GatewayHandle) -> None:
    settings = {"transcription": {"model": "gpt-4o-transcribe", "language": "en"}, "turn_detection": None}
    async with gateway.connect() as client:
        await client.send("session.update", session={"type": "transcription", "audio": {"input": settings}})
        session = (await client.until("session.updated"))["session"]
        assert session["audio"]["input"]["turn_detection"] is None
        assert session["audio"]["input"]["transcription"]["language"] == "en"
        await client.say(speech(QUESTION))
        await client.send("input_audio_buffer.commit")
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.send("session.update", session={"type": "realtime"})
        assert (await client.until("error", "session.updated"))["error"]["code"] == "cannot_update_type"
