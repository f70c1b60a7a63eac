"""The conversation as Mistral accepts it: any list of items becomes a legal list of messages.

Mistral wants one system message, at the beginning; then the user's first; calls followed at once by one result each; no user right after a
result; and the user or a result at the end. So:

- system items join the system message, neighbours of one role become one message, items without words are left out;
- calls that stand together, and the words before them, are one assistant message; their results follow it, wherever they came;
- a call without a result gets a synthetic one; a result without its call becomes a note of the user's;
- between a result and the user stands a short assistant message;
- where the user is missing, at the beginning or at the end, a short message in brackets takes its place.

What is synthetic depends on the items alone, so that the same history gives the same list, and Mistral can reuse what it has read.
"""

import hashlib
import re
import string
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from mistral_voice.gateway.session.items import FunctionCall, FunctionOutput, Item, ItemStatus, Message, Role
from mistral_voice.mistral.stream.chat_request import ChatCall, ChatMessage

OPENING = "(The caller has not said anything yet. Begin the conversation.)"
"""Stands for the user where the conversation has no words at all, or begins with the assistant's."""
CONTINUE = "(The caller is waiting. Go on.)"
"""Stands for the user where the last words are the assistant's."""
SILENCE = "(The caller says nothing.)"
"""Stands for the user where the last words are the assistant's, and a turn without words has followed them."""
BRIDGE = "All right."
"""Stands for the assistant between a function's result and the user's next words."""
STILL_RUNNING = "(The function has not returned yet.)"
"""Stands for the result of a call that the client has not answered."""
CUT_OFF = "(The call was cancelled before it was complete.)"
"""Stands for the result of a call that was interrupted while it was written."""
LATE_RESULT = "(An earlier function returned: {output})"
"""A result whose call is not in the conversation, told as a note."""

_ID = re.compile(r"[a-zA-Z0-9]{9}")
_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_ID_CHARACTERS = string.ascii_letters + string.digits
_MAX_NAME = 64


def to_messages(system: str, items: Sequence[Item]) -> tuple[ChatMessage, ...]:
    """Return the message list for the next reply. `system` may be empty."""
    system_texts = [system, *(item.text for item in items if isinstance(item, Message) and item.role is Role.SYSTEM)]
    head = "\n\n".join(text for text in system_texts if text.strip())
    silent = bool(items) and isinstance(items[-1], Message) and items[-1].role is Role.USER
    spoken = _written(_turns(items), SILENCE if silent else CONTINUE)
    return (ChatMessage("system", head), *spoken) if head else tuple(spoken)


def call_rounds(items: Sequence[Item]) -> int:
    """Return how often the assistant has called functions since the user's last message; calls that stand together count once."""
    rounds = 0
    within = False
    for item in items:
        if isinstance(item, FunctionCall):
            rounds += not within
        elif isinstance(item, Message) and item.role is Role.USER:
            rounds = 0
        within = isinstance(item, FunctionCall)
    return rounds


class _Turn(Struct):
    """What one side says before the other does. `answered`: results have come, so a further call belongs to the next turn."""

    role: Literal["user", "assistant"]
    texts: list[str] = []
    images: list[str] = []
    calls: list[tuple[ChatCall, str]] = []
    answered: bool = False


def _turns(items: Sequence[Item]) -> list[_Turn]:
    results, notes = _pair(items)
    ids = _Ids()
    turns: list[_Turn] = []
    for position, item in enumerate(items):
        if isinstance(item, FunctionCall):
            turn = _open_turn(turns, "assistant", for_call=True)
            turn.calls.append((_call(item, ids), results.get(position, STILL_RUNNING)))
        elif isinstance(item, FunctionOutput):
            if position in notes:
                _open_turn(turns, "user").texts.append(LATE_RESULT.format(output=item.output))
            elif turns:
                turns[-1].answered = True
        elif item.role is Role.USER and (item.text.strip() or item.images):
            turn = _open_turn(turns, "user")
            turn.images.extend(item.images)
            if item.text.strip():
                turn.texts.append(item.text)
        elif item.role is Role.ASSISTANT and item.text.strip():
            _open_turn(turns, "assistant").texts.append(item.text)
    return turns


def _open_turn(turns: list[_Turn], role: Literal["user", "assistant"], *, for_call: bool = False) -> _Turn:
    """Return the turn that the next words or the next call join: the last one, or a new one."""
    if turns and turns[-1].role == role and (not turns[-1].calls or (for_call and not turns[-1].answered)):
        return turns[-1]
    turns.append(_Turn(role))
    return turns[-1]


def _pair(items: Sequence[Item]) -> tuple[dict[int, str], set[int]]:
    """Return each call's result by the call's position, and the positions of results that have no call. The first result counts."""
    waiting: dict[str, list[int]] = {}
    results: dict[int, str] = {}
    for position, item in enumerate(items):
        if isinstance(item, FunctionCall):
            if item.status is ItemStatus.COMPLETED:
                waiting.setdefault(item.call_id, []).append(position)
            else:
                results[position] = CUT_OFF
    notes = set()
    for position, item in enumerate(items):
        if isinstance(item, FunctionOutput):
            calls = waiting.get(item.call_id)
            if calls:
                results[calls.pop(0)] = item.output
            else:
                notes.add(position)
    return results, notes


def _written(turns: Sequence[_Turn], last: str) -> list[ChatMessage]:
    messages: list[ChatMessage] = []
    for turn in turns:
        text = "\n".join(turn.texts)
        if turn.role == "user":
            if messages and messages[-1].role == "tool":
                messages.append(ChatMessage("assistant", BRIDGE))
            messages.append(ChatMessage("user", text, images=tuple(turn.images)))
        else:
            if not messages:
                messages.append(ChatMessage("user", OPENING))
            messages.append(ChatMessage("assistant", text, calls=tuple(call for call, _ in turn.calls)))
            messages.extend(ChatMessage("tool", result, call_id=call.id) for call, result in turn.calls)
    if not messages:
        messages.append(ChatMessage("user", OPENING))
    elif messages[-1].role == "assistant":
        messages.append(ChatMessage("user", last))
    return messages


class _Ids:
    """Gives each call an id as Mistral wants it: its own if that will do, else one that follows from it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, call_id: str) -> str:
        """Return the id for the next call of this client's id."""
        wanted, attempt = call_id, 0
        while not _ID.fullmatch(wanted) or wanted in self._taken:
            wanted = _nine_characters(f"{attempt}:{call_id}")
            attempt += 1
        self._taken.add(wanted)
        return wanted


def _nine_characters(text: str) -> str:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    characters = []
    for _ in range(9):
        number, digit = divmod(number, len(_ID_CHARACTERS))
        characters.append(_ID_CHARACTERS[digit])
    return "".join(characters)


def _call(item: FunctionCall, ids: _Ids) -> ChatCall:
    name = _NAME.sub("_", item.name)[:_MAX_NAME] or "unnamed"
    return ChatCall(ids.of(item.call_id), name, _arguments(item.arguments))


def _arguments(text: str) -> str:
    """Return the arguments if they are a JSON object; what was cut off or never was one gives an empty object."""
    try:
        whole = isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        whole = False
    return text if whole else "{}"
