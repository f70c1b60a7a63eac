"""A managed session from end to end: a client talks, the broker adds the key, and what passed is counted."""

from mistral_voice.contract.lease import Unit
from tests.api.broker.place import CANARY, Place
from tests.support.speech import silence, speech
from tests.support.waiting import eventually

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris, of course. It has two million people."


async def test_a_managed_session_talks_with_the_platforms_key(place: Place) -> None:
    tenant = await place.tenant()
    async with place.broker(), place.gateway(tenant) as gateway:
        async with gateway.connect() as client:
            await client.say(silence(500) + speech(QUESTION) + silence(1500))
            done = (await client.until("response.done"))["response"]
            assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": ANSWER}]
            assert len(client.spoken_audio()) > 24_000
        released = (await eventually(lambda: place.control_plane.releases, "the lease's release"))[0]
    asked = await place.mistral.requests(key_id="pool")
    assert {record["endpoint"] for record in asked} >= {"transcription_realtime", "chat", "speech_realtime"}
    assert CANARY not in await place.token(tenant)
    amounts = {amount.unit: amount.amount for amount in released.usage.amounts}
    assert amounts[Unit.CHARACTERS] in range(len(ANSWER) - 4, len(ANSWER) + 1), "the clauses, without the spaces between them"
    assert 1000 < amounts[Unit.AUDIO_MS] < 6000
    assert amounts[Unit.INPUT_TOKENS] > 0
    assert amounts[Unit.OUTPUT_TOKENS] > 0
    assert released.usage.session_ms > 0
    assert place.control_plane.leases[0].integration == "hello"
