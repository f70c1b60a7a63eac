"""A message that can't be used gets an error with a sentence, and the session goes on."""

import json
from typing import Any

import aiohttp
import pytest

from mistral_voice.gateway.client_limits import ClientLimits
from tests.support.gateway import GatewayHandle
from tests.support.waiting import eventually


def message(event_type: str, **fields: Any) -> str:
    return json.dumps({"type": event_type, "event_id": "e1", **fields})


def item(**fields: Any) -> str:
    return message("conversation.item.create", item={"type": "message", "role": "user", "content": [], **fields})


def session(**fields: Any) -> str:
    return message("session.update", session={"type": "realtime", **fields})


BAD = {
    "{": ("invalid_json", None, None),
    "[" * 100_000: ("invalid_json", None, None),
    '{"type": "session.update", "session": {"x": ' + "[" * 5_000 + "]" * 5_000 + "}}": ("invalid_json", None, None),
    "[]": ("invalid_event", None, None),
    "null": ("invalid_event", None, None),
    '{"event_id": "e1"}': ("missing_required_parameter", "type", "e1"),
    message("session.destroy"): ("unknown_event_type", "type", "e1"),
    message("input_audio_buffer.append"): ("missing_required_parameter", "audio", "e1"),
    message("input_audio_buffer.append", audio="&&&"): ("invalid_value", "audio", "e1"),
    message("input_audio_buffer.append", audio=7): ("invalid_value", "audio", "e1"),
    message("input_audio_buffer.commit"): ("input_audio_buffer_commit_empty", None, "e1"),
    message("response.cancel"): ("response_cancel_not_active", None, "e1"),
    message("response.create", response={"conversation": "other"}): ("invalid_value", "response.conversation", "e1"),
    message("response.create", response={"input": [{"type": "item_reference", "id": "x"}]}): ("invalid_value", "response.input", "e1"),
    message("response.create", response={"input": [{"type": "message", "role": "?"}]}): ("invalid_value", "response.input[0].role", "e1"),
    message("response.create", response={"tool_choice": {"type": "function", "name": "f"}}): (
        "invalid_value",
        "response.tool_choice",
        "e1",
    ),
    message("response.create", response={"max_output_tokens": 0}): ("invalid_value", "response.max_output_tokens", "e1"),
    message("response.create", response={"instructions": "x" * 100_001}): ("invalid_value", "response.instructions", "e1"),
    message("response.create", response={"tools": [{"name": "f"}, {"name": "f"}]}): ("invalid_value", "response.tools", "e1"),
    message("response.create", response={"metadata": {"k": "v" * 513}}): ("invalid_value", "response.metadata", "e1"),
    message("conversation.item.delete", item_id="x" * 513): ("invalid_value", "item_id", "e1"),
    message("response.cancel", response_id="resp_1"): ("response_cancel_not_active", None, "e1"),
    message("response.create", response={"output_modalities": ["audio", "text"]}): ("invalid_value", "response.output_modalities", "e1"),
    message("conversation.item.truncate", item_id="x", content_index=0, audio_end_ms=1): ("item_truncate_invalid_item_id", "item_id", "e1"),
    message("output_audio_buffer.clear"): ("not_available", "type", "e1"),
    item(role="robot"): ("invalid_value", "item.role", "e1"),
    item(content=[{"type": "output_text", "text": ""}]): ("invalid_value", "item.content[0].type", "e1"),
    item(content=[{"type": "input_image", "image_url": "https://x"}]): ("invalid_value", "item.content[0].image_url", "e1"),
    item(content=[{"type": "input_text"}]): ("missing_required_parameter", "item.content[0].text", "e1"),
    item(type="function_call_output", output="o"): ("missing_required_parameter", "item.call_id", "e1"),
    item(type="function_call", name="f"): ("missing_required_parameter", "item.arguments", "e1"),
    item(type="mcp_call"): ("invalid_value", "item.type", "e1"),
    item(type="item_reference", id="x"): ("invalid_value", "item.type", "e1"),
    item(type="message", role="user", content=[{"type": "input_audio"}] * 65): ("invalid_value", "item.content", "e1"),
    item(id="x" * 200): ("invalid_value", "item.id", "e1"),
    session(tools=[{"type": "mcp", "server_label": "x"}]): ("not_available", "session.tools[0].type", "e1"),
    session(tools=[{"type": "function", "name": "a function"}]): ("invalid_value", "session.tools[0].name", "e1"),
    session(tools=[{"type": "function", "name": "f", "parameters": "any"}]): ("invalid_value", "session.tools[0].parameters", "e1"),
    session(tools=[{"type": "function", "name": "f", "parameters": [1]}]): ("invalid_value", "session.tools[0].parameters", "e1"),
    session(tools=[{"name": "f"}, {"name": "f"}]): ("invalid_value", "session.tools", "e1"),
    session(tool_choice="sometimes"): ("invalid_value", "session.tool_choice", "e1"),
    session(tool_choice={"type": "function", "name": "f"}): ("invalid_value", "session.tool_choice", "e1"),
    session(tool_choice={"type": "mcp", "server_label": "x"}): ("not_available", "session.tool_choice.type", "e1"),
    session(instructions=7): ("invalid_value", "session.instructions", "e1"),
    session(max_output_tokens="many"): ("invalid_value", "session.max_output_tokens", "e1"),
    session(audio={"input": {"format": {"type": "audio/opus"}}}): ("invalid_value", "session.audio.input.format.type", "e1"),
    session(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}): ("invalid_value", "session.audio.input.format.rate", "e1"),
    session(audio={"input": {"turn_detection": {"type": "telepathy"}}}): (
        "invalid_value",
        "session.audio.input.turn_detection.type",
        "e1",
    ),
    session(audio={"input": {"transcription": {"language": "english"}}}): (
        "invalid_value",
        "session.audio.input.transcription.language",
        "e1",
    ),
    message("session.update", session={"type": "translation"}): ("invalid_value", "session.type", "e1"),
}


async def test_each_bad_message_gets_its_error_and_the_session_survives_all(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client:
        for text, expected in BAD.items():
            await client.socket.send_str(text)
            event = await client.until("error", "session.updated", "response.created")
            error = event.get("error", event)
            assert (error.get("code"), error.get("param"), error.get("event_id")) == expected, text
            assert error["type"] == "invalid_request_error"
            assert error["message"].endswith((".", "`")), error["message"]
        await client.socket.send_bytes(b"audio")
        assert "JSON" in (await client.until("error"))["error"]["message"]
        await client.socket.send_str('{"type": "response.create"}')
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert await gateway.metric("limits_hit_total", limit="malformed_message") > 10


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": {"id": "p"}, "include": ["item.input_audio_transcription.logprobs"], "parallel_tool_calls": True},
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}, "reasoning": {"effort": "low"}, "whatever": [1]},
        {"audio": {"input": {"turn_detection": {"idle_timeout_ms": 6000, "eagerness": "auto"}, "format": None}, "output": {"speed": 1.5}}},
        {"audio": None, "tools": None, "output_modalities": None, "max_output_tokens": "inf"},
    ],
)
async def test_a_harmless_field_is_no_error(gateway: GatewayHandle, fields: dict[str, Any]) -> None:
    async with gateway.connect() as client:
        await client.update(**fields)


async def test_a_message_beyond_the_limit_ends_the_connection(gateway: GatewayHandle) -> None:
    async with gateway.connect() as client, gateway.connect() as neighbour:
        await client.socket.send_str(" " * (ClientLimits().message_bytes + 1))
        while (last := await client.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (last.data, last.extra) == (1009, "A message may have 1048576 bytes; send long audio in several appends.")
        await neighbour.send("response.create")
        await neighbour.until("response.done")

    async def it_is_counted() -> bool:
        return await gateway.metric("limits_hit_total", limit="message_size") == 1

    await eventually(it_is_counted, "the count of messages that were too large")
