"""The conversation as Mistral accepts it: any list of items becomes a legal list of messages.

Mistral wants one system message, at the beginning, and a list that ends with the user's message. So system items join the system message,
neighbours of one role become one message, items without words are left out, and where the list would not end with the user, a short
message in brackets takes the user's place.
"""

from collections.abc import Sequence
from typing import Literal

from mistral_voice.gateway.session.items import Item, Role
from mistral_voice.mistral.stream.chat_request import ChatMessage

OPENING = "(The caller has not said anything yet. Begin the conversation.)"
"""Stands for the user where the conversation has no words at all."""
CONTINUE = "(The caller is waiting. Go on.)"
"""Stands for the user where the last words are the assistant's."""


def to_messages(system: str, items: Sequence[Item]) -> tuple[ChatMessage, ...]:
    """Return the message list for the next reply. `system` may be empty."""
    system_texts = [system, *(item.text for item in items if item.role is Role.SYSTEM)]
    messages = _joined([(_role(item.role), item.text) for item in items if item.role is not Role.SYSTEM and item.text.strip()])
    if not messages:
        messages = [("user", OPENING)]
    elif messages[-1][0] != "user":
        messages.append(("user", CONTINUE))
    head = "\n\n".join(text for text in system_texts if text.strip())
    spoken = [ChatMessage(role, text) for role, text in messages]
    return (ChatMessage("system", head), *spoken) if head else tuple(spoken)


_Speaker = Literal["user", "assistant"]


def _role(role: Role) -> _Speaker:
    return "assistant" if role is Role.ASSISTANT else "user"


def _joined(turns: Sequence[tuple[_Speaker, str]]) -> list[tuple[_Speaker, str]]:
    joined: list[tuple[_Speaker, str]] = []
    for role, text in turns:
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n{text}")
        else:
            joined.append((role, text))
    return joined
