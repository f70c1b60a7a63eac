"""API keys of the simulated Mistral: what each may do, its state, and the rate-limit domain that it shares with others."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mistral_voice.contract.secret import Secret
from mistral_voice.simulator.clock import Clock


class Scope(StrEnum):
    """What a key may be allowed to do."""

    MODELS = "models"
    CHAT = "chat"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    WHOAMI = "whoami"


class KeyState(StrEnum):
    """Whether a key works."""

    VALID = "valid"
    REVOKED = "revoked"
    """Answered with 401, like a key that never existed."""
    DISABLED = "disabled"
    """Answered with 403."""


ALL_SCOPES = frozenset(Scope)
DEFAULT_DOMAIN = "default"


@dataclass(frozen=True)
class Key:
    """A key. `id` names it in scripts, faults and recordings; its value is never shown."""

    id: str
    value: Secret
    scopes: frozenset[Scope] = ALL_SCOPES
    state: KeyState = KeyState.VALID
    domain: str = DEFAULT_DOMAIN


@dataclass(frozen=True)
class DomainLimits:
    """The limits that all keys of a domain share, per minute; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass
class _Window:
    started: float
    requests: int = 0
    tokens: int = 0


@dataclass
class KeyRing:
    """All keys and the rate-limit domains they belong to."""

    clock: Clock
    _keys: dict[str, Key] = field(default_factory=dict)
    _by_value: dict[str, str] = field(default_factory=dict)
    _limits: dict[str, DomainLimits] = field(default_factory=dict)
    _windows: dict[str, _Window] = field(default_factory=dict)

    def put(self, key: Key) -> None:
        """Add a key, or replace the one of the same id. Raises ValueError if another id has the same value."""
        owner = self._by_value.get(key.value.reveal())
        if owner not in (None, key.id):
            raise ValueError(f"Key {key.id!r} has the same value as key {owner!r}; give each its own.")
        self.remove(key.id)
        self._keys[key.id] = key
        self._by_value[key.value.reveal()] = key.id

    def change(
        self, key_id: str, *, state: KeyState | None = None, scopes: Iterable[Scope] | None = None, domain: str | None = None
    ) -> Key:
        """Change what is given of a key; raises KeyError if there is no such key."""
        key = self._keys[key_id]
        changed = replace(
            key,
            state=key.state if state is None else state,
            scopes=key.scopes if scopes is None else frozenset(scopes),
            domain=key.domain if domain is None else domain,
        )
        self._keys[key_id] = changed
        return changed

    def remove(self, key_id: str) -> bool:
        """Forget a key; tells whether it was there."""
        key = self._keys.pop(key_id, None)
        if key is None:
            return False
        del self._by_value[key.value.reveal()]
        return True

    def find(self, value: str) -> Key | None:
        """Return the key of this value."""
        key_id = self._by_value.get(value)
        return None if key_id is None else self._keys[key_id]

    def all(self) -> list[Key]:
        """Return all keys."""
        return list(self._keys.values())

    def limit(self, domain: str, limits: DomainLimits) -> None:
        """Set a domain's limits and start its minute anew."""
        self._limits[domain] = limits
        self._windows.pop(domain, None)

    def limits(self) -> dict[str, DomainLimits]:
        """Return the limits of all domains that have any."""
        return dict(self._limits)

    def spend(self, domain: str, tokens: int = 0) -> tuple[bool, dict[str, str]]:
        """Count one request of a domain. Returns whether it is within the limits, and the headers that tell about them."""
        limits = self._limits.get(domain)
        if limits is None:
            return True, {}
        window = self._window(domain)
        within = (limits.requests_per_minute is None or window.requests < limits.requests_per_minute) and (
            limits.tokens_per_minute is None or window.tokens < limits.tokens_per_minute
        )
        if within:
            window.requests += 1
            window.tokens += tokens
        headers = {}
        if limits.requests_per_minute is not None:
            headers["x-ratelimit-limit-req-minute"] = str(limits.requests_per_minute)
            headers["x-ratelimit-remaining-req-minute"] = str(max(0, limits.requests_per_minute - window.requests))
        if limits.tokens_per_minute is not None:
            headers["x-ratelimit-limit-tokens-minute"] = str(limits.tokens_per_minute)
            headers["x-ratelimit-remaining-tokens-minute"] = str(max(0, limits.tokens_per_minute - window.tokens))
        if not within:
            headers["Retry-After"] = str(max(1, round(window.started + 60 - self.clock.now())))
        return within, headers

    def add_tokens(self, domain: str, tokens: int) -> None:
        """Count tokens of a request that was counted already."""
        if domain in self._limits:
            self._window(domain).tokens += tokens

    def _window(self, domain: str) -> _Window:
        now = self.clock.now()
        window = self._windows.get(domain)
        if window is None or now - window.started >= 60:
            window = self._windows[domain] = _Window(now)
        return window
