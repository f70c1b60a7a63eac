"""Turns that end by what is said, over the socket: local detection begins them, the simulator's turn events end them."""

from pathlib import Path
from typing import Any

import pytest

from mistral_voice.simulator.catalogue import default_models
from mistral_voice.simulator.dialect import Dialect
from tests.support.gateway import GatewayHandle, RealtimeClient, running_gateway
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.speech import silence, speech
from tests.support.waiting import eventually

QUESTION = "What is the capital of France?"
HEARD = {"transcription": {"model": "gpt-4o-mini-transcribe"}}


def script(**turn: Any) -> dict[str, Any]:
    return {"transcription": {"turns": [{"text": QUESTION, **turn}]}, "chat": {"replies": [{"text": "It is Paris, of course."}]}}


async def semantic(client: RealtimeClient, **rest: Any) -> None:
    await client.update(audio={"input": {**HEARD, "turn_detection": {"type": "semantic_vad", **rest}}})


def sent_to_mistral(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [message["body"] for message in request["messages"] if message["direction"] == "in"]


def transcripts(client: RealtimeClient) -> list[str]:
    return [event["transcript"] for event in client.all("conversation.item.input_audio_transcription.completed")]


async def test_mistral_ends_the_turn_and_is_told_how_patient_to_be(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(script())
    question = speech(QUESTION)
    async with gateway.connect() as client:
        await semantic(client, eagerness="low")
        await client.say(silence(1000) + question + silence(1500))
        await client.until("response.done")
    assert transcripts(client) == [QUESTION]
    started, stopped = client.all("input_audio_buffer.speech_started")[0], client.all("input_audio_buffer.speech_stopped")[0]
    assert started["audio_start_ms"] == pytest.approx(700, abs=150)
    assert stopped["audio_end_ms"] == pytest.approx(1000 + len(question) // 48 + 500, abs=300)
    (request,) = await mistral.requests(endpoint="transcription_realtime")
    update, *_, last = sent_to_mistral(request)
    assert update["session"]["turn_detection"]["end_timeout_ms"] == 8000
    assert last["type"] == "input_audio.end"


async def test_a_pause_that_mistral_takes_back_does_not_cut_the_turn(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """The caller pauses for a second, longer than voice activity detection would wait; Mistral resumes, and ends the turn at last."""
    await mistral.put_script(
        {
            "transcription": {
                "listening": "offsets",
                "turns": [{"text": QUESTION, "start_ms": 300, "eager_end_ms": 1500, "resume_ms": 2600, "end_ms": 5000}],
            },
            "chat": {"replies": [{"text": "It is Paris, of course."}]},
        }
    )
    first, second = speech("What is, let me think,"), speech("the capital of France?")
    async with gateway.connect() as client:
        await semantic(client)
        await client.say(silence(500) + first + silence(1000) + second + silence(3000))
        await client.until("response.done")
    assert len(client.all("input_audio_buffer.speech_started")) == 1
    assert transcripts(client) == [QUESTION]
    assert client.all("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == pytest.approx(5200, abs=200)


async def test_two_turns_in_one_burst_are_two_turns(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """The first turn's socket has heard the second already; its words still come once, and in their own turn."""
    await mistral.put_script(
        {
            "transcription": {"conversations": [[{"text": "One."}, {"text": "Two, too early."}], [{"text": "Two."}]]},
            "chat": {"replies": [{"text": "Yes."}]},
        }
    )
    async with gateway.connect() as client:
        await semantic(client, interrupt_response=False)
        await client.say(speech(QUESTION) + silence(1500) + speech("And how many people live there?") + silence(1500), chunk_ms=5000)
        while len(transcripts(client)) < 2:
            await client.until("conversation.item.input_audio_transcription.completed")
    assert transcripts(client) == ["One.", "Two."]
    deltas = [event["delta"] for event in client.all("conversation.item.input_audio_transcription.delta")]
    assert "".join(deltas) == "One.Two."


@pytest.mark.parametrize("errors_close", [False, True])
async def test_a_model_without_turn_detection_is_done_without(tmp_path: Path, errors_close: bool) -> None:
    """The older model refuses; the audio goes to a second socket, silence ends the turn, and later turns don't ask again."""
    async with running_simulator(script(), dialect=Dialect(errors_close=errors_close)) as mistral:
        (older,) = (model for model in default_models() if model.id == "voxtral-mini-transcribe-realtime-2602")
        await mistral.admin("DELETE", "/models/voxtral-mini-transcribe-realtime-3-0")
        older.aliases.append("voxtral-mini-transcribe-realtime-latest")
        mistral.simulator.catalogue.put(older)
        async with running_gateway(mistral, tmp_path) as gateway, gateway.connect() as client:
            await semantic(client)
            for _ in range(2):
                await client.say(speech(QUESTION) + silence(1500))
                assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert await gateway.metric("semantic_fallbacks_total", reason="unsupported") == 2
        asked = [sent_to_mistral(request)[0]["session"] for request in await mistral.requests(endpoint="transcription_realtime")]
    assert ["turn_detection" in session for session in asked] == [True, False, False]
    assert transcripts(client) == [QUESTION, QUESTION]


async def test_errors_that_may_be_for_the_turn_events_are_met_without_them(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """Mistral answers the settings with an error that says nothing; the third socket asks for no turn events, and hears."""
    await mistral.put_script(script())
    await mistral.add_fault("error_event", endpoint="transcription_realtime", times=2, after_events=1, error_code=3803, error_message="No.")
    async with gateway.connect() as client:
        await semantic(client)
        await client.say(speech(QUESTION) + silence(1500))
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert transcripts(client) == [QUESTION]
    *refused, taken = await mistral.requests(endpoint="transcription_realtime")
    assert len(refused) == 2
    assert "turn_detection" not in sent_to_mistral(taken)[0]["session"]


async def test_turn_events_that_stall_leave_the_end_to_silence(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script({"transcription": {"listening": "anything", "turns": [{"text": QUESTION}]}})
    async with gateway.connect() as client:
        await semantic(client, eagerness="high")
        await client.say(speech(QUESTION) + silence(1500))
        await client.until("response.done")
    assert transcripts(client) == [QUESTION]
    assert await gateway.metric("semantic_fallbacks_total", reason="stalled") == 1


async def test_a_transcription_that_stalls_while_the_caller_speaks_is_begun_anew(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """Nothing comes after the third event: the same audio goes to a second socket, and no word is doubled."""
    await mistral.put_script({"transcription": {"listening": "anything", "turns": [{"text": QUESTION, "word_ms": 50}]}})
    await mistral.add_fault("stall", endpoint="transcription_realtime", times=1, after_events=3)
    async with gateway.connect() as client:
        await client.update(audio={"input": HEARD})
        await client.say(silence(500) + speech(QUESTION))
        await eventually(lambda: len(mistral.simulator.recorder.find(endpoint="transcription_realtime")) > 1, "the second transcription")
        assert await gateway.metric("transcriptions_stalled_total") == 1
        await client.say(silence(1500))
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert transcripts(client) == [QUESTION]
    deltas = [event["delta"] for event in client.all("conversation.item.input_audio_transcription.delta")]
    assert "".join(deltas) == QUESTION
    sent = [request["audio_ms"] for request in await mistral.requests(endpoint="transcription_realtime")]
    assert len(sent) == 2
    assert sent[1] >= sent[0]


async def test_a_new_language_comes_with_the_next_turn(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    """Mistral locks the settings with the first audio: an open turn keeps its socket, the next one's is new."""
    await mistral.put_script(script())
    async with gateway.connect() as client:
        await client.update(audio={"input": {"transcription": {"language": "en"}}})
        await client.say(speech(QUESTION))
        await client.until("input_audio_buffer.speech_started")
        await client.update(audio={"input": {"transcription": {"language": "fr"}}})
        await client.say(silence(1500))
        await client.until("response.done")
        await client.say(speech(QUESTION) + silence(1500))
        await client.until("response.done")
    asked = [sent_to_mistral(request)[0]["session"] for request in await mistral.requests(endpoint="transcription_realtime")]
    assert [session["language"] for session in asked] == ["en", "fr"]


EAGER = {"start_ms": 300, "eager_end_ms": 1500, "end_ms": 3000}
"""A turn that seems to be over 1.5 s before it is, by the audio of its socket."""


def speculative(*deltas: tuple[str, int], **turn: Any) -> dict[str, Any]:
    said = [{"text": text, "at_ms": at_ms} for text, at_ms in deltas]
    return {
        "transcription": {"listening": "offsets", "turns": [{"language": None, **EAGER, "deltas": said, **turn}]},
        "chat": {"replies": [{"text": "You said: {user}. So be it, then."}]},
    }


async def begin_to_ask(client: RealtimeClient, mistral: SimulatorHandle) -> None:
    """Speak up to the eager end, and wait until Mistral has been asked for the reply."""
    await semantic(client)
    await client.say((silence(200) + speech(QUESTION) + silence(2000))[: 48 * 2300])
    await eventually(lambda: mistral.simulator.recorder.find(endpoint="chat"), "the speculation")


async def test_the_reply_is_begun_early_and_kept(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(speculative((QUESTION.removesuffix("?"), 500), ("?", 2600)))
    async with gateway.connect() as client:
        await begin_to_ask(client, mistral)
        assert "input_audio_buffer.committed" not in client.types
        await client.say(silence(2000))
        done = (await client.until("response.done"))["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"][0]["transcript"] == f"You said: {QUESTION.removesuffix('?')}. So be it, then."
    assert done["usage"]["output_tokens"] > 0
    assert transcripts(client) == [QUESTION]
    assert client.types.index("input_audio_buffer.committed") < client.types.index("response.created")
    assert len(await mistral.requests(endpoint="chat")) == 1
    assert await gateway.metric("speculations_total", outcome="kept") == 1
    assert await gateway.metric("speculations_total", outcome="wasted") == 0


async def test_a_wrong_guess_is_never_heard_and_its_cost_is_counted(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(speculative(("Call my mother", 500), (" tomorrow.", 2600)))
    async with gateway.connect() as client:
        await begin_to_ask(client, mistral)
        await client.say(silence(2000))
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["transcript"] == "You said: Call my mother tomorrow.. So be it, then."
    assert len(client.all("response.created")) == 1
    spoken = "".join(delta["delta"] for delta in client.all("response.output_audio_transcript.delta"))
    assert spoken == "You said: Call my mother tomorrow.. So be it, then."
    asked = [request["body"]["messages"][-1]["content"] for request in await mistral.requests(endpoint="chat")]
    assert asked[-1] == "Call my mother tomorrow."
    assert asked[0] == "Call my mother"
    assert await gateway.metric("speculations_total", outcome="wasted") >= 1
    assert await gateway.metric("speculation_wasted_tokens_total", kind="input") > 0


async def test_a_turn_that_resumes_takes_its_reply_back(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(speculative(("What is the capital", 500), (" of France?", 3000), resume_ms=2700, end_ms=4000))
    async with gateway.connect() as client:
        await begin_to_ask(client, mistral)
        await client.say(silence(3000))
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["transcript"] == f"You said: {QUESTION}. So be it, then."
    assert len(client.all("response.created")) == 1
    assert await gateway.metric("speculations_total", outcome="wasted") == 1
    assert await gateway.metric("speculations_total", outcome="kept") == 0
