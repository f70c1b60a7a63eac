"""What the parts of a session share."""

from collections.abc import Callable

from mistral_voice.gateway.session.config import SessionConfig
from mistral_voice.gateway.session.conversation import Conversation
from mistral_voice.gateway.session.outbox import Outbox
from mistral_voice.gateway.session.policy import SessionPolicy

NewId = Callable[[str], str]
"""Makes an id from its prefix: `item` gives `item_…`. Never the same twice in one session."""


class Context:
    """The settings in force, the conversation, and the present time in milliseconds, as each input brings it."""

    def __init__(self, policy: SessionPolicy, conversation: Conversation, new_id: NewId, now_ms: float) -> None:
        self.policy = policy
        self.config: SessionConfig = policy.defaults()
        self.conversation = conversation
        self.new_id = new_id
        self.now_ms = now_ms
        self.outbox = Outbox()
