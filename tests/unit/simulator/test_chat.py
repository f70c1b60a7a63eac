import asyncio
import json
import logging
import re
from typing import Any

import aiohttp
import pytest

from tests.support.simulator import TEST_KEY, SimulatorHandle, running_simulator
from tests.support.virtual_clock import VirtualClock
from tests.unit.simulator.clients import chat, content, sse, user


async def stream(http: aiohttp.ClientSession, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with http.post("/v1/chat/completions", json={**body, "stream": True}) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        data = [item async for _, item in sse(response)]
    assert data[-1] == "[DONE]"
    return [json.loads(item) for item in data[:-1]]


async def whole(http: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    async with http.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def test_a_reply_streams_in_pieces_and_ends_with_usage(http: aiohttp.ClientSession) -> None:
    chunks = await stream(http, chat(user("Hello there"), prompt_cache_key="s", service_tier="auto", reasoning_effort="none"))
    assert content(chunks) == "You said: Hello there"
    assert len(chunks) == 6
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {(chunk["id"], chunk["object"], chunk["model"]) for chunk in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk", "mistral-medium-latest")
    }
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 5 + ["stop"]
    assert ["usage" in chunk for chunk in chunks] == [False] * 5 + [True]
    usage = chunks[-1]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


async def test_a_reply_can_come_whole(http: aiohttp.ClientSession) -> None:
    answer = await whole(http, chat(user("Hello there")))
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "You said: Hello there", "tool_calls": None}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0


async def test_replies_come_in_turn_for_each_session(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "one"}, {"text": "two"}, {"text": "Paris", "when": r"capital of france"}]}})
    texts = []
    for session, question in (("a", "x"), ("a", "What is the Capital of France?"), ("a", "x"), ("b", "x"), ("a", "x")):
        answer = await whole(http, chat(user(question), prompt_cache_key=session))
        texts.append(answer["choices"][0]["message"]["content"])
    assert texts == ["one", "Paris", "two", "one", "one"]


async def test_a_script_belongs_to_a_key_or_a_session(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "key"}]}}, key_id="test")
    await mistral.put_script({"chat": {"replies": [{"text": "session"}]}}, session="s-1")
    await mistral.put_script({"chat": {"replies": [{"text": "default"}]}})
    await mistral.add_key("other", "other-key-0000001")
    got = [
        (await whole(http, chat(user("x"))))["choices"][0]["message"]["content"],
        (await whole(http, chat(user("x"), prompt_cache_key="s-1")))["choices"][0]["message"]["content"],
    ]
    async with aiohttp.ClientSession(mistral.base_url, headers={"Authorization": "Bearer other-key-0000001"}) as other:
        got.append((await whole(other, chat(user("x"))))["choices"][0]["message"]["content"])
    assert got == ["key", "session", "default"]


async def test_thinking_comes_first_as_list_content(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "Four.", "thinking": "Two and two."}]}})
    chunks = await stream(http, chat(user("2+2?")))
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Two and two."}]}
    assert chunks[1]["choices"][0]["delta"]["content"] == [thinking]
    assert content(chunks) == "Four."
    answer = await whole(http, chat(user("2+2?")))
    assert answer["choices"][0]["message"]["content"] == [thinking, {"type": "text", "text": "Four."}]


async def test_text_can_come_as_list_content(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"chat": {"replies": [{"tokens": ["Fo", "ur."], "content_as_list": True}]}})
    chunks = await stream(http, chat(user("2+2?")))
    assert chunks[1]["choices"][0]["delta"]["content"] == [{"type": "text", "text": "Fo"}]
    assert content(chunks) == "Four."


async def test_a_tool_call_has_an_id_as_mistral_makes_them(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    calls = [{"name": "weather", "arguments": '{"city": "Paris"}'}, {"name": "clock", "id": "abcDEF123"}]
    await mistral.put_script({"chat": {"replies": [{"tool_calls": calls}]}})
    chunks = await stream(http, chat(user("Weather?"), tools=[{"type": "function", "function": {"name": "weather", "parameters": {}}}]))
    last = chunks[-1]["choices"][0]
    assert last["finish_reason"] == "tool_calls"
    assert content(chunks) == ""
    first, second = last["delta"]["tool_calls"]
    assert re.fullmatch(r"[a-zA-Z0-9]{9}", first["id"])
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}
    assert (second["id"], second["index"]) == ("abcDEF123", 1)


async def test_arguments_can_stream_piece_by_piece(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    calls = [{"name": "weather", "pieces": ['{"city":', '"Paris"}']}, {"name": "clock"}]
    await mistral.put_script({"chat": {"replies": [{"tool_calls": calls}]}})
    chunks = await stream(http, chat(user("Weather?")))
    deltas = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [(delta["index"], delta["function"]["name"]) for delta in deltas] == [(0, "weather"), (0, ""), (1, "clock")]
    assert (deltas[1]["id"], deltas[1]["function"]["arguments"]) == ("null", '"Paris"}')
    answer = await whole(http, chat(user("Weather?")))
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Paris"}'


async def test_a_reply_answers_a_tools_result(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    replies = [{"when": "weather", "tool_calls": [{"name": "weather", "id": "abcDEF123"}]}, {"when": "sunny", "text": "It is {result}."}]
    await mistral.put_script({"chat": {"replies": replies}})
    asked = (await whole(http, chat(user("Weather?"))))["choices"][0]["message"]
    result = {"role": "tool", "content": "sunny", "tool_call_id": "abcDEF123"}
    answer = await whole(http, chat(user("Weather?"), asked, result))
    assert answer["choices"][0]["message"]["content"] == "It is sunny."


async def test_no_call_is_made_where_none_is_allowed(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"chat": {"replies": [{"tool_calls": [{"name": "weather"}]}]}})
    answer = (await whole(http, chat(user("Weather?"), tool_choice="none")))["choices"][0]
    assert (answer["finish_reason"], answer["message"]["content"]) == ("stop", "You said: Weather?")


async def test_max_tokens_cuts_the_reply(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "one two three four"}]}})
    chunks = await stream(http, chat(user("Count"), max_tokens=2))
    assert content(chunks) == "one two"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("model", ["mistral-gigantic", "mistral-large-2407", "mistral-embed", "voxtral-mini-tts-latest"])
async def test_a_model_that_is_unknown_retired_or_cannot_chat_is_invalid(http: aiohttp.ClientSession, model: str) -> None:
    async with http.post("/v1/chat/completions", json={**chat(user("Hi")), "model": model}) as response:
        assert response.status == 400
        assert (await response.json())["message"] == f"Invalid model: {model}"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model": "m"}', b'{"model": 1, "messages": []}', b'{"model": "m", "messages": [{}]}', b"\xff"]
)
async def test_a_malformed_body_is_unprocessable(http: aiohttp.ClientSession, body: bytes) -> None:
    async with http.post("/v1/chat/completions", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 422
        assert (await response.json())["detail"][0]["loc"] == ["body"]


async def test_a_body_that_is_too_large_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/chat/completions", data=b" " * (17 * 1024 * 1024)) as response:
        assert response.status == 413


async def test_the_pace_of_a_reply_is_exact() -> None:
    clock = VirtualClock()
    script = {"chat": {"replies": [{"tokens": ["a", "b", "c"], "first_token_ms": 120, "token_ms": 35}]}}
    async with (
        running_simulator(script, clock=clock) as mistral,
        aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http,
    ):
        for _ in range(2):
            started = clock.now()
            assert content(await stream(http, chat(user("x")))) == "abc"
            assert round((clock.now() - started) * 1000, 6) == 120 + 2 * 35


async def test_clients_that_do_not_wait_for_the_answer_are_no_error(
    mistral: SimulatorHandle, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Hello."}], "stream": true}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: mistral\r\nAuthorization: Bearer {TEST_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(mistral.base_url.rpartition(":")[2])
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        writer.close()
        await writer.wait_closed()
    assert (await whole(http, chat(user("Hello there"))))["object"] == "chat.completion"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
