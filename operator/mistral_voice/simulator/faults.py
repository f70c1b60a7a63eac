"""Faults on demand: what goes wrong, for whom, on which endpoint, and how often."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class Endpoint(StrEnum):
    """The endpoints, as faults, scripts' recordings and metrics name them."""

    MODELS = "models"
    MODEL = "model"
    WHOAMI = "whoami"
    VOICES = "voices"
    CHAT = "chat"
    SPEECH = "speech"
    SPEECH_REALTIME = "speech_realtime"
    TRANSCRIPTION = "transcription"
    TRANSCRIPTION_REALTIME = "transcription_realtime"
    CLIENT_SESSIONS = "client_sessions"


class FaultKind(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    """An HTTP error status instead of the answer; on a realtime socket instead of the upgrade."""
    HANG = "hang"
    """The request is taken and never answered."""
    SLOW = "slow"
    """The answer comes `delay_ms` later."""
    RESET = "reset"
    """The connection is reset without an answer."""
    GARBAGE = "garbage"
    """Something that is no answer, see `Garbage`; on a stream after `after_events` events."""
    CUT = "cut"
    """A stream's connection is cut after `after_events` events."""
    STALL = "stall"
    """A stream says nothing more after `after_events` events, and does not end; with `keep_alive_ms` it still sends what means nothing."""
    ERROR_EVENT = "error_event"
    """A stream sends an `error` event after `after_events` events: by default 3804. The stream then ends unless `goes_on`."""
    CLOSE = "close"
    """A realtime socket is closed with `close_code` after `after_events` events."""


class Garbage(StrEnum):
    """What no answer looks like."""

    INVALID_JSON = "invalid_json"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    """A page of HTML with status 200."""
    WRONG_SHAPE = "wrong_shape"
    """Valid JSON that is not the documented object."""
    OVERSIZED = "oversized"
    """`size_bytes` of JSON."""


_CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
STREAM_KINDS = frozenset({FaultKind.CUT, FaultKind.STALL, FaultKind.ERROR_EVENT, FaultKind.CLOSE})
"""Faults that strike within a stream."""


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault. What is not given of `endpoint`, `key_id` and `session` matches anything."""

    kind: FaultKind
    endpoint: Endpoint | None = None
    key_id: str | None = None
    session: str | None = None
    model: str | None = None
    """Matches the query parameter `model` alone, so realtime sockets."""
    skip: int = 0
    """How many matching requests pass unharmed first."""
    times: int | None = None
    """How many requests it strikes; None: all."""

    status: int = 500
    body: Any = None
    """The body instead of the status's usual one."""
    headers: dict[str, str] = {}
    retry_after_s: int | None = None
    delay_ms: int | None = None
    """How much later a slow answer comes (None: 1000), or a stream's fault strikes after the event before it (None: at once)."""
    garbage: Garbage = Garbage.INVALID_JSON
    size_bytes: int = 8_388_608
    after_events: int | None = None
    """How many events of the stream pass first; `session.created` and `session.updated` count.

    Garbage strikes the whole answer if this is None, else the stream.
    """
    error_code: int = 3804
    error_message: str = "Timeout waiting for response from streaming transcription"
    goes_on: bool = False
    keep_alive_ms: int | None = None
    """How often a stalled stream sends a comment, a stalled socket an event of an unknown type; None: never."""
    close_code: int = 1011
    close_reason: str = ""

    id: str = ""
    struck: int = 0
    """How often it struck so far."""

    def __post_init__(self) -> None:
        if self.kind is FaultKind.STATUS and not 400 <= self.status <= 599:
            raise ValueError("`status` must be from 400 to 599.")
        if self.kind is FaultKind.CLOSE and self.close_code not in _CLOSE_CODES:
            raise ValueError("`close_code` must be one that may be sent: 1000 to 1003, 1007 to 1014, or 3000 to 4999.")
        if self.keep_alive_ms is not None and self.keep_alive_ms < 1:
            raise ValueError("`keep_alive_ms` must be at least 1.")
        if self.size_bytes > 268_435_456:
            raise ValueError("`size_bytes` may be at most 268435456.")

    def strikes_stream(self) -> bool:
        """Tell whether it strikes within a stream instead of the whole request."""
        return self.kind in STREAM_KINDS or (self.kind is FaultKind.GARBAGE and self.after_events is not None)

    def matches(self, endpoint: Endpoint, key_id: str | None, session: str | None, model: str | None) -> bool:
        """Tell whether the fault is meant for such a request."""
        return (
            self.endpoint in (None, endpoint)
            and self.key_id in (None, key_id)
            and self.session in (None, session)
            and self.model in (None, model)
        )

    @property
    def strikes_after_ms(self) -> int:
        """The delay that is meant, in ms."""
        if self.delay_ms is not None:
            return self.delay_ms
        return 1_000 if self.kind is FaultKind.SLOW else 0

    def spent(self) -> bool:
        """Tell whether it will strike no more."""
        return self.times is not None and self.struck >= self.times


@dataclass
class FaultBook:
    """All faults, oldest first. Each request meets the first that matches."""

    _faults: dict[str, Fault] = field(default_factory=dict)
    _number: int = 0

    def add(self, fault: Fault) -> Fault:
        """Add a fault and give it an id unless it has one; one of the same id is replaced."""
        self._number += 1
        fault.id = fault.id or f"fault-{self._number}"
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: str) -> bool:
        """Take a fault out; tells whether it was there."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take all faults out."""
        self._faults.clear()

    def all(self) -> list[Fault]:
        """Return all faults, spent ones included."""
        return list(self._faults.values())

    def take(self, endpoint: Endpoint, key_id: str | None, session: str | None, model: str | None) -> Fault | None:
        """Return the fault that strikes this request, and count it."""
        for fault in self._faults.values():
            if fault.spent() or not fault.matches(endpoint, key_id, session, model):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.struck += 1
            return fault
        return None
