"""What the simulator was asked: bounded, with key ids instead of key values."""

from collections import deque
from typing import Any

import msgspec

from mistral_voice.simulator.clock import Clock

MAX_RECORDS = 2_000
MAX_MESSAGES = 500
MAX_MESSAGES_IN_ALL = 50_000
MAX_TEXT = 4_000


class RecordedMessage(msgspec.Struct):
    """A message on a realtime socket, audio replaced by its size. `at_ms` counts from the request's arrival."""

    at_ms: float
    direction: str
    body: Any


class Record(msgspec.Struct, kw_only=True):
    """One request, and on a realtime socket what passed over it."""

    seq: int
    at_ms: float
    """Milliseconds on the simulator's clock since it started."""
    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    key_id: str | None = None
    session: str | None = None
    model: str | None = None
    body: Any = None
    status: int | None = None
    fault: str | None = None
    """The kind of fault that it met, if any."""
    messages: list[RecordedMessage] = []
    messages_dropped: int = 0
    audio_ms: float = 0.0
    """Audio received, in ms."""
    close_code: int | None = None
    ended_at_ms: float | None = None


class Recorder:
    """The last requests, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.now()
        self._records: deque[Record] = deque()
        self._seq = 0
        self._messages = 0

    def now_ms(self) -> float:
        """Return milliseconds since the start, to the microsecond."""
        return round((self._clock.now() - self._started) * 1000, 3)

    def open(self, endpoint: str, *, method: str, path: str, query: dict[str, str], key_id: str | None, session: str | None) -> Record:
        """Record that a request came."""
        self._seq += 1
        record = Record(
            seq=self._seq,
            at_ms=self.now_ms(),
            endpoint=endpoint,
            method=method,
            path=path[:MAX_TEXT],
            query={name[:100]: value[:MAX_TEXT] for name, value in list(query.items())[:20]},
            key_id=key_id,
            session=session,
        )
        self._records.append(record)
        self._forget_oldest()
        return record

    def wants_message(self, record: Record) -> bool:
        """Tell whether a further message of this record is kept; counts it as dropped if not."""
        if len(record.messages) < MAX_MESSAGES:
            return True
        record.messages_dropped += 1
        return False

    def message(self, record: Record, direction: str, body: Any) -> None:
        """Record a message of a realtime socket; see `wants_message`."""
        record.messages.append(RecordedMessage(round(self.now_ms() - record.at_ms, 3), direction, body))
        self._messages += 1
        self._forget_oldest()

    def close(self, record: Record) -> None:
        """Record that the request is over."""
        record.ended_at_ms = self.now_ms()

    def find(self, *, key_id: str | None = None, endpoint: str | None = None, session: str | None = None, after: int = 0) -> list[Record]:
        """Return the records that match what is given, with a `seq` above `after`."""
        return [
            record
            for record in self._records
            if record.seq > after
            and key_id in (None, record.key_id)
            and endpoint in (None, record.endpoint)
            and session in (None, record.session)
        ]

    def clear(self) -> None:
        """Forget all records; numbers go on."""
        self._records.clear()
        self._messages = 0

    def _forget_oldest(self) -> None:
        while len(self._records) > MAX_RECORDS or (self._messages > MAX_MESSAGES_IN_ALL and len(self._records) > 1):
            self._messages -= len(self._records.popleft().messages)


def bounded(body: Any) -> Any:
    """Return a copy of JSON data with long texts cut, long lists shortened and deep nesting cut off."""
    return _bounded(body, 8)


def _bounded(body: Any, depth: int) -> Any:
    if isinstance(body, str):
        return body if len(body) <= MAX_TEXT else f"{body[:MAX_TEXT]}… ({len(body)} characters)"
    if depth == 0 and isinstance(body, dict | list):
        return "…"
    if isinstance(body, dict):
        return {str(name)[:100]: _bounded(value, depth - 1) for name, value in list(body.items())[:100]}
    if isinstance(body, list):
        return [_bounded(value, depth - 1) for value in body[:200]]
    return body
