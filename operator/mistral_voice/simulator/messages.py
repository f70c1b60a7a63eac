"""What Mistral refuses in a list of chat messages.

The rules are those of `mistral_common`'s request validator, in serving mode, and those that users report: codes 3230 (order), 3240 (empty
assistant message) and 3280 (tool-call ids).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mistral_voice.simulator.wire.chat import Message

CODE_ORDER = "3230"
CODE_ASSISTANT = "3240"
CODE_TOOL_CALL = "3280"

_TOOL_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_MAY_FOLLOW = {
    None: {"system", "user", "assistant", "tool"},
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}


@dataclass(frozen=True)
class Refusal:
    """Why a list is refused: Mistral's sentence, the error's type and its code."""

    message: str
    error_type: str
    code: str


def refusal(messages: Sequence[Message], *, empty_conversation_refused: bool = True) -> Refusal | None:
    """Return why Mistral refuses this list, or None if it takes it."""
    if not messages:
        return _order("Conversation must have at least one message")
    return (
        _order_of_roles(messages)
        or _last_message(messages, empty_conversation_refused=empty_conversation_refused)
        or _assistant_messages(messages)
        or _tool_call_ids(messages)
        or _calls_and_results(messages)
    )


def _order(message: str) -> Refusal:
    return Refusal(message, "invalid_request_message_order", CODE_ORDER)


def _order_of_roles(messages: Sequence[Message]) -> Refusal | None:
    previous = None
    for message in messages:
        if message.role not in _MAY_FOLLOW[previous]:
            return _order(f"Unexpected role '{message.role}' after role '{previous}'")
        previous = message.role
    return None


def _last_message(messages: Sequence[Message], *, empty_conversation_refused: bool) -> Refusal | None:
    last = messages[-1]
    if last.role in ("user", "tool") or (last.role == "assistant" and last.prefix):
        return None
    if last.role == "system" and all(message.role == "system" for message in messages) and not empty_conversation_refused:
        return None
    return _order(f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {last.role}")


def _assistant_messages(messages: Sequence[Message]) -> Refusal | None:
    for message in messages:
        if message.role == "assistant" and not message.tool_calls and not message.content:
            return Refusal(
                "Assistant message must have either content or tool_calls, but not none.",
                "invalid_request_assistant_message",
                CODE_ASSISTANT,
            )
    return None


def _tool_call_ids(messages: Sequence[Message]) -> Refusal | None:
    for message in messages:
        ids = [call.id for call in message.tool_calls or ()]
        if message.role == "tool":
            if message.tool_call_id is None:
                return Refusal("Tool call id has to be defined.", "invalid_function_call", CODE_TOOL_CALL)
            ids.append(message.tool_call_id)
        for call_id in ids:
            if not _TOOL_CALL_ID.fullmatch(call_id):
                return Refusal(
                    f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9.", "invalid_function_call", CODE_TOOL_CALL
                )
    return None


def _calls_and_results(messages: Sequence[Message]) -> Refusal | None:
    """Every call has its result right after the message that made it, and every result its call."""
    open_ids: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_ids:
                return _order(
                    "Unexpected tool call id in tool results" if open_ids else "Not the same number of function calls and responses"
                )
            open_ids.discard(message.tool_call_id)
            continue
        if open_ids:
            return _order("Not the same number of function calls and responses")
        if message.role == "assistant":
            open_ids = {call.id for call in message.tool_calls or ()}
    return _order("Not the same number of function calls and responses") if open_ids else None
