"""The live simulator calls functions as a model would: when the question asks for one, or when it must."""

import json
from typing import Any

import msgspec
import pytest

from mistral_voice.simulator.live.functions import call_for, result_of
from mistral_voice.simulator.wire.chat import ChatRequest

WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
TIMER = {
    "name": "startTimer",
    "parameters": {
        "type": "object",
        "properties": {"minutes": {"type": "integer"}, "tone": {"enum": ["bell", "gong"]}, "loud": {"type": "boolean"}, "note": {}},
        "required": ["minutes", "tone", "loud"],
    },
}


def request(question: str, choice: Any = "auto", *others: dict[str, Any]) -> ChatRequest:
    tools = [{"type": "function", "function": function} for function in (WEATHER, TIMER)]
    body = {"model": "m", "messages": [{"role": "user", "content": question}, *others], "tools": tools, "tool_choice": choice}
    return msgspec.convert(body, ChatRequest)


@pytest.mark.parametrize(
    ("question", "choice", "name", "arguments"),
    [
        ("What is the weather in Lyon?", "auto", "get_weather", {"city": "Lyon"}),
        ("Set a timer of 5 minutes.", "auto", "startTimer", {"minutes": 5, "tone": "bell", "loud": True}),
        ("Hello.", "required", "get_weather", {"city": "Hello"}),
        ("Hello.", "any", "get_weather", {"city": "Hello"}),
        ("Hello.", {"type": "function", "function": {"name": "startTimer"}}, "startTimer", {"minutes": 1, "tone": "bell", "loud": True}),
    ],
)
def test_a_function_is_called(question: str, choice: Any, name: str, arguments: dict[str, Any]) -> None:
    call = call_for(request(question, choice))
    assert call is not None
    assert (call.name, json.loads(call.arguments)) == (name, arguments)


@pytest.mark.parametrize(("question", "choice"), [("Hello.", "auto"), ("What is the weather in Lyon?", "none")])
def test_none_is_called(question: str, choice: str) -> None:
    assert call_for(request(question, choice)) is None


def test_a_result_is_said_and_not_asked_for_again() -> None:
    called = {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdefghi", "function": {"name": "get_weather"}}]}
    asked = request("What is the weather in Lyon?", "required", called, {"role": "tool", "content": "sunny", "tool_call_id": "abcdefghi"})
    assert call_for(asked) is None
    assert result_of(asked) == "The answer is: sunny."
    assert result_of(request("Hello.")) is None
