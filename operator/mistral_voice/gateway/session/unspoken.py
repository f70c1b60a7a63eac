"""What of a reply is still to be spoken: it is asked for only so far ahead of what the client is given. Pure."""

from collections import deque

from mistral_voice.gateway.session.commands import FinishSpeech, Speak
from mistral_voice.gateway.session.heard import SpokenText
from mistral_voice.gateway.session.outbox import Outbox

AHEAD_MS = 30_000.0
"""No further clause is asked for while so much audio, made or being made, waits to be sent."""


class Unspoken:
    """Passes a reply's clauses on to be spoken, in order, and at last that there are no more."""

    def __init__(self, response_id: str, spoken: SpokenText, outbox: Outbox) -> None:
        self._response_id = response_id
        self._spoken = spoken
        self._outbox = outbox
        self._waiting: deque[Speak] = deque()
        self._asked = 0
        self._finishes = False

    def add(self, clause: Speak) -> None:
        """One more clause is to be spoken."""
        self._waiting.append(clause)
        self.advance()

    def finish(self) -> None:
        """No more clauses come."""
        self._finishes = True
        self.advance()

    def drop(self) -> None:
        """Nothing more is to be spoken."""
        self._waiting.clear()
        self._finishes = False

    def advance(self) -> None:
        """Ask for what may be asked for by now."""
        while self._waiting and self._spoken.ahead_ms(self._asked) < AHEAD_MS:
            self._outbox.put(self._waiting.popleft())
            self._asked += 1
        if self._finishes and not self._waiting:
            self._finishes = False
            self._outbox.put(FinishSpeech(self._response_id))
