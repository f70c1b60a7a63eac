"""Function calls over the socket: a gateway and the scripted simulator, which enforces Mistral's rules."""

import json
from typing import Any

from tests.support.gateway import GatewayHandle, RealtimeClient
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "weather",
        "description": "How the weather is in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {"type": "function", "name": "clock"},
]
CALLS = {
    "text": "One moment, please.",
    "tool_calls": [{"name": "weather", "pieces": ['{"city": ', '"Paris', '"}']}, {"name": "clock", "arguments": "{}"}],
}


def script(*replies: dict[str, Any]) -> dict[str, Any]:
    hears = {"listening": "anything", "turns": [{"text": "How is the weather?"}]}
    return {"transcription": hears, "speech": {"ms_per_character": 20}, "chat": {"replies": list(replies)}}


async def answer_calls(client: RealtimeClient, done: dict[str, Any], *outputs: str) -> None:
    """Send a result for each call of a response, and ask for the reply."""
    calls = [item for item in done["response"]["output"] if item["type"] == "function_call"]
    for call, output in zip(calls, outputs, strict=True):
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        await client.send("conversation.item.create", item=item)
    await client.send("response.create")


async def test_a_spoken_question_is_answered_with_what_functions_returned(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(script({**CALLS, "when": "weather"}, {"text": "It is {result} now.", "when": "noon"}))
    async with gateway.connect() as client:
        session = await client.update(tools=TOOLS, tool_choice="auto")
        assert session["tools"][0] == TOOLS[0]
        assert session["tools"][1]["parameters"] == {"type": "object", "properties": {}}
        await client.say(speech("How is the weather?") + silence(1200))
        first = await client.until("response.done")
        await answer_calls(client, first, "sunny", "noon")
        second = await client.until("response.done")
    kinds = [(item["type"], item["status"]) for item in first["response"]["output"]]
    assert kinds == [("message", "completed"), ("function_call", "completed"), ("function_call", "completed")]
    weather = first["response"]["output"][1]
    assert (weather["name"], json.loads(weather["arguments"])) == ("weather", {"city": "Paris"})
    deltas = [event["delta"] for event in client.all("response.function_call_arguments.delta") if event["item_id"] == weather["id"]]
    assert deltas == ['{"city": ', '"Paris', '"}']
    done = client.all("response.function_call_arguments.done")
    assert [(event["output_index"], event["name"]) for event in done] == [(1, "weather"), (2, "clock")]
    assert first["response"]["usage"]["output_tokens"] > 0
    assert second["response"]["output"][0]["content"][0]["transcript"] == "It is noon now."
    bodies = [request["body"] for request in await mistral.requests(endpoint="chat")]
    assert bodies[0]["tools"][0] == {"type": "function", "function": {key: TOOLS[0][key] for key in ("name", "description", "parameters")}}
    assert (bodies[0]["tool_choice"], bodies[0]["parallel_tool_calls"]) == ("auto", True)
    assert [message["role"] for message in bodies[1]["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert bodies[1]["messages"][2]["content"] == "One moment, please."


async def test_a_client_that_answers_while_the_filler_is_spoken_is_not_refused(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    filler = "One moment please, while I am looking that up for you in my book. " * 2
    calls = {"text": filler, "tool_calls": [{"name": "clock"}], "when": "weather"}
    await mistral.put_script(script(calls, {"text": "Noon.", "when": "noon"}))
    async with gateway.connect() as client:
        await client.update(tools=TOOLS)
        await client.say(speech("How is the weather?") + silence(1200))
        call = await client.until("response.function_call_arguments.done")
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
        await client.send("conversation.item.create", item=item)
        await client.send("response.create")
        await client.until("response.done")
        done = await client.until("response.done")
    assert not client.all("error")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "Noon."


async def test_a_caller_may_speak_while_a_function_runs(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(script({"tool_calls": [{"name": "clock"}]}, {"text": "Yes, I am here."}, {"text": "It is noon."}))
    async with gateway.connect() as client:
        await client.update(tools=TOOLS)
        await client.say(speech("How is the weather?") + silence(1200))
        first = await client.until("response.done")
        await client.say(speech("Are you still there?") + silence(1200))
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        await answer_calls(client, first, "noon")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert not client.all("error")


async def test_calls_of_a_clients_own_making_are_accepted_by_mistral(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        call = {"type": "function_call", "id": "mine", "call_id": "call_with-a-long.name", "name": "look up!", "arguments": "Paris"}
        for item in (call, {"type": "function_call_output", "call_id": call["call_id"], "output": ""}):
            await client.send("conversation.item.create", item=item)
            assert (await client.until("conversation.item.done"))["item"]["status"] == "completed"
        await client.send("conversation.item.retrieve", item_id="mine")
        assert (await client.until("conversation.item.retrieved"))["item"]["call_id"] == call["call_id"]
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_a_response_out_of_band_is_told_apart_by_its_metadata(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    await mistral.put_script(script({"text": "Hello.", "first_token_ms": 300}, {"text": "A label.", "when": "classify"}))
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Classify this."}]}
    async with gateway.connect() as client:
        await client.send("response.create")
        await client.until("response.created")
        response = {"conversation": "none", "input": [asked], "output_modalities": ["text"], "metadata": {"topic": "label"}, "tools": TOOLS}
        await client.send("response.create", response=response)
        done = [(await client.until("response.done"))["response"] for _ in range(2)]
    assert {"topic": "label"} in [response["metadata"] for response in done]
    label = next(response for response in done if response["metadata"])
    assert label["conversation_id"] is None
    assert label["output"][0]["content"] == [{"type": "output_text", "text": "A label."}]
    assert label["output"][0]["id"] not in {event["item"]["id"] for event in client.all("conversation.item.added")}
    assert all(response["usage"]["total_tokens"] > 0 for response in done)


async def test_audio_and_pictures_of_a_client_are_kept_as_far_as_a_model_can_use_them(
    gateway: GatewayHandle, mistral: SimulatorHandle
) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    content = [
        {"type": "input_audio", "audio": "AAAA", "transcript": "What is this?"},
        {"type": "input_audio", "audio": "AAAA"},
        {"type": "input_image", "image_url": picture, "detail": "low"},
    ]
    async with gateway.connect() as client:
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        shown = (await client.until("conversation.item.added"))["item"]["content"]
        spoken = {"type": "output_audio", "transcript": "Let me look."}
        await client.send("conversation.item.create", item={"type": "message", "role": "assistant", "content": [spoken]})
        await client.send("response.create", response={"output_modalities": ["text"]})
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert [part.get("transcript") for part in shown] == ["What is this?", None, None]
    assert "audio" not in shown[0]
    messages = (await mistral.requests(endpoint="chat"))[0]["body"]["messages"]
    assert messages[1]["content"] == [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": picture}]
    assert messages[2]["content"] == "Let me look."
