"""Short-lived tokens for browsers: made with a key, good for one model, reusable until they expire."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mistral_voice.contract.secret import Secret
from mistral_voice.simulator.clock import Clock

DEFAULT_TTL_SECONDS = 900
MAX_TTL_SECONDS = 3_600
_MAX_TOKENS = 10_000


@dataclass(frozen=True)
class ClientToken:
    """A token that stands for a key, on one model's realtime socket."""

    value: Secret
    key_id: str
    model: str
    expires_at: datetime
    _expires: float


@dataclass
class ClientTokens:
    """The tokens given out."""

    clock: Clock
    _tokens: dict[str, ClientToken] = field(default_factory=dict)

    def issue(self, key_id: str, model: str, ttl_seconds: int) -> ClientToken:
        """Make a token; the oldest goes when there are too many."""
        while len(self._tokens) >= _MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        value = f"rt_{secrets.token_urlsafe(32)}"
        token = ClientToken(
            Secret(value), key_id, model, self.clock.wall() + timedelta(seconds=ttl_seconds), self.clock.now() + ttl_seconds
        )
        self._tokens[value] = token
        return token

    def find(self, value: str) -> ClientToken | None:
        """Return the token of this value unless it has expired."""
        token = self._tokens.get(value)
        if token is not None and token._expires <= self.clock.now():  # noqa: SLF001 - its own module
            del self._tokens[value]
            return None
        return token
