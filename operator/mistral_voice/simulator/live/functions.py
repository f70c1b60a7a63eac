"""Whether the small mind calls a function, and with which arguments: by rules, as it does all else.

Under `auto` it calls a function whose name shares a word with the question; forced to, the one that was chosen, or the first. What the
schema requires is filled in from the question.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from mistral_voice.simulator.live.mind import plain
from mistral_voice.simulator.script import ToolCallScript
from mistral_voice.simulator.wire.chat import ChatRequest

_FORCED = ("any", "required")
_VERBS = {"get", "set", "find", "look", "call", "make", "tell", "show", "give", "check", "the", "for", "and", "function", "tool"}
_SHORTEST_WORD = 3
_OBJECT = re.compile(r".*\b(?:in|of|for|at|to|about)\s+(?P<object>.+)", re.DOTALL)


def call_for(request: ChatRequest) -> ToolCallScript | None:
    """Return the call that answers the last user message; None if it is answered in words."""
    functions = [tool["function"] for tool in request.tools or () if isinstance(tool, dict) and "function" in tool]
    choice = request.tool_choice
    if not functions or choice == "none" or request.messages[-1].role == "tool":
        return None
    question = next((message.text() for message in reversed(request.messages) if message.role == "user"), "")
    chosen = _chosen(functions, choice, question)
    return None if chosen is None else ToolCallScript(name=chosen["name"], arguments=_arguments(chosen, question))


def result_of(request: ChatRequest) -> str | None:
    """Return a sentence about the results that the conversation ends with; None if it ends otherwise."""
    if request.messages[-1].role != "tool":
        return None
    results = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        results.append(message.text())
    return f"The answer is: {'; '.join(reversed(results))}."


def _chosen(functions: Sequence[dict[str, Any]], choice: Any, question: str) -> dict[str, Any] | None:
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        return next((function for function in functions if function["name"] == name), None)
    words = set(plain(question).split())
    fitting = next((function for function in functions if _words_of(function["name"]) & words), None)
    return fitting or (functions[0] if choice in _FORCED else None)


def _words_of(name: str) -> set[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return {word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if len(word) >= _SHORTEST_WORD} - _VERBS


def _arguments(function: dict[str, Any], question: str) -> str:
    schema = function.get("parameters") or {}
    properties = schema.get("properties") or {}
    return json.dumps({name: _value(properties.get(name) or {}, question) for name in schema.get("required") or ()})


def _value(schema: dict[str, Any], question: str) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "string")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "integer" | "number":
            number = re.search(r"\d+", question)
            return int(number[0]) if number else 1
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
        case _:
            asked = question.strip().rstrip("?.!")
            found = _OBJECT.fullmatch(asked)
            return found["object"] if found else asked
