"""What Mistral refuses in a list of chat messages.

The rules are those of `mistral_common`'s request validator for serving, and those that users report of the API where they are stricter:
codes 3230 (order), 3240 (empty assistant message) and 3280 (tool-call ids). Where the two differ, a `Strictness` tells which is enforced.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mistral_voice.simulator.wire.chat import Message

CODE_ORDER = "3230"
CODE_ASSISTANT = "3240"
CODE_TOOL_CALL = "3280"

_TOOL_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_ID = "null"
_UNEVEN = "Not the same number of function calls and responses"


@dataclass(frozen=True)
class Strictness:
    """Which of the disputed rules are enforced."""

    user_after_tool_refused: bool = True
    nine_character_ids: bool = True
    system_alone_refused: bool = True


@dataclass(frozen=True)
class Refusal:
    """Why a list is refused: Mistral's sentence, the error's type and its code."""

    message: str
    error_type: str
    code: str


def refusal(messages: Sequence[Message], strictness: Strictness) -> Refusal | None:
    """Return why Mistral refuses this list, or None if it takes it."""
    if not messages:
        return _order("Conversation must have at least one message")
    return (
        _roles(messages)
        or _first_message(messages)
        or _last_message(messages, strictness)
        or _order_of_roles(messages, strictness)
        or _assistant_messages(messages)
        or _tool_call_ids(messages, strictness)
        or _calls_and_results(messages)
    )


def _order(message: str) -> Refusal:
    return Refusal(message, "invalid_request_message_order", CODE_ORDER)


def _assistant(message: str) -> Refusal:
    return Refusal(message, "invalid_request_assistant_message", CODE_ASSISTANT)


def _call(message: str) -> Refusal:
    return Refusal(message, "invalid_function_call", CODE_TOOL_CALL)


def _roles(messages: Sequence[Message]) -> Refusal | None:
    unknown = next((message.role for message in messages if message.role not in ("system", "user", "assistant", "tool")), None)
    return None if unknown is None else _order(f"Unexpected role '{unknown}'")


def _first_message(messages: Sequence[Message]) -> Refusal | None:
    first = messages[0]
    # A list may begin with what an assistant said, but not in the middle of a tool call.
    if (len(messages) == 1 and first.role == "assistant") or first.role == "tool" or first.tool_calls:
        return _order("Conversation must start with a user message or system message")
    return None


def _last_message(messages: Sequence[Message], strictness: Strictness) -> Refusal | None:
    last = messages[-1]
    if last.role in ("user", "tool") or (last.role == "assistant" and last.prefix):
        return None
    if last.role == "system" and not strictness.system_alone_refused and all(message.role == "system" for message in messages):
        return None
    return _order(f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {last.role}")


def _order_of_roles(messages: Sequence[Message], strictness: Strictness) -> Refusal | None:
    may_follow = {
        "system": {"user", "assistant", "system"},
        "user": {"assistant", "system", "user"},
        "assistant": {"assistant", "user", "tool"},
        "tool": {"assistant", "tool"} if strictness.user_after_tool_refused else {"assistant", "tool", "user"},
    }
    for previous, message in itertools.pairwise(messages):
        if message.role not in may_follow[previous.role]:
            return _order(f"Unexpected role '{message.role}' after role '{previous.role}'")
    return None


def _assistant_messages(messages: Sequence[Message]) -> Refusal | None:
    for message in messages:
        if message.role == "assistant" and not message.tool_calls and not message.content:
            return _assistant("Assistant message must have either content or tool_calls, but not none.")
        if message.prefix and message is not messages[-1]:
            return _assistant("Assistant message with prefix True must be last message")
    return None


def _tool_call_ids(messages: Sequence[Message], strictness: Strictness) -> Refusal | None:
    for message in messages:
        for call in message.tool_calls or ():
            if not _FUNCTION_NAME.fullmatch(call.function.name):
                return _call(
                    f"Function name was {call.function.name} but must be a-z, A-Z, 0-9, or contain underscores and dashes, "
                    "with a maximum length of 64."
                )
        ids = [call.id for call in message.tool_calls or ()]
        if message.role == "tool":
            ids.append(message.tool_call_id or _NO_ID)
        for call_id in ids:
            if call_id in ("", _NO_ID):
                return _call("Tool call id has to be defined.")
            if strictness.nine_character_ids and not _TOOL_CALL_ID.fullmatch(call_id):
                return _call(f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9.")
    return None


def _calls_and_results(messages: Sequence[Message]) -> Refusal | None:
    """Every call has its result after the message that made it and before the next assistant message, and every result its call."""
    expected: set[str] = set()
    observed: set[str] = set()
    for message in messages:
        if message.role == "tool":
            call_id = message.tool_call_id or _NO_ID
            if call_id in observed:
                return _order(f"Duplicate tool call id {call_id} in tool results")
            if call_id not in expected:
                return _order(f"Unexpected tool call id {call_id} in tool results")
            observed.add(call_id)
        elif message.role == "assistant":
            if expected != observed:
                return _order(_UNEVEN)
            ids = [call.id for call in message.tool_calls or ()]
            expected, observed = set(ids), set()
            if len(expected) != len(ids):
                return _order("Duplicate tool call id in assistant message")
    return None if expected == observed else _order(_UNEVEN)
