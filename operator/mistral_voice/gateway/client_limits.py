"""How much one client may send: pure, so that a test can play any client. Times in milliseconds on one monotonic clock."""

from msgspec import Struct


class ClientLimits(Struct, frozen=True):
    """The bounds of one connection.

    Each rate is a bucket: so much at once, and so much a second in the long run. `audio_ahead_ms` may come before its time, and
    `audio_speed` times real time after that. `text_bytes` are those of messages without audio, and of their answers.
    `idle_seconds` 0: no limit.
    """

    message_bytes: int = 1024 * 1024
    messages_at_once: int = 1000
    messages_per_second: float = 300.0
    text_bytes_at_once: int = 4 * 1024 * 1024
    text_bytes_per_second: float = 1024 * 1024
    audio_ahead_ms: float = 60_000.0
    audio_speed: float = 4.0
    faults_at_once: int = 200
    faults_per_second: float = 2.0
    responses_at_once: int = 20
    responses_per_second: float = 1.0
    turns_at_once: int = 30
    turns_per_second: float = 2.0
    idle_seconds: float = 300.0


class Bucket:
    """Holds up to `capacity`, fills up at a steady rate, and may be overdrawn."""

    def __init__(self, capacity: float, per_second: float, now_ms: float) -> None:
        self._capacity = capacity
        self._per_ms = per_second / 1000
        self._level = capacity
        self._at_ms = now_ms

    def take(self, amount: float, now_ms: float) -> float:
        """Take an amount, and return after how many milliseconds it will have been there: 0 if it is there already."""
        self._level = min(self._capacity, self._level + (now_ms - self._at_ms) * self._per_ms) - amount
        self._at_ms = now_ms
        return 0.0 if self._level >= 0 else -self._level / self._per_ms

    def take_if_there(self, amount: float, now_ms: float) -> bool:
        """Take an amount only if it is there; returns whether it was."""
        level = self._level + (now_ms - self._at_ms) * self._per_ms
        level = min(level, self._capacity)
        self._at_ms = now_ms
        is_there = level >= amount
        self._level = level - amount if is_there else level
        return is_there

    def give_back(self, amount: float) -> None:
        """What was taken just now was not used."""
        self._level += amount


class ClientMeter:
    """What one client has used of its limits."""

    def __init__(self, limits: ClientLimits, now_ms: float) -> None:
        self._messages = Bucket(limits.messages_at_once, limits.messages_per_second, now_ms)
        self._text = Bucket(limits.text_bytes_at_once, limits.text_bytes_per_second, now_ms)
        self._audio = Bucket(limits.audio_ahead_ms, limits.audio_speed * 1000, now_ms)
        self._faults = Bucket(limits.faults_at_once, limits.faults_per_second, now_ms)
        self._responses = Bucket(limits.responses_at_once, limits.responses_per_second, now_ms)
        self._turns = Bucket(limits.turns_at_once, limits.turns_per_second, now_ms)

    def allows_turn(self, now_ms: float) -> bool:
        """Count a turn that the client commits; returns whether it may."""
        return self._turns.take_if_there(1, now_ms)

    def message(self, now_ms: float) -> float:
        """Count a message; returns for how many milliseconds the client is not to be read."""
        return self._messages.take(1, now_ms)

    def allows_audio(self, milliseconds: float, now_ms: float) -> bool:
        """Count a message of audio if neither it nor its audio has to wait; returns whether it was counted."""
        if not self._messages.take_if_there(1, now_ms):
            return False
        if self._audio.take_if_there(milliseconds, now_ms):
            return True
        self._messages.give_back(1)
        return False

    def text(self, text_bytes: int, now_ms: float) -> float:
        """Count a message without audio and its answers; returns for how many milliseconds the client is not to be read."""
        return self._text.take(text_bytes, now_ms)

    def audio(self, milliseconds: float, now_ms: float) -> float:
        """Count audio by its time; returns for how many milliseconds the client is not to be read."""
        return self._audio.take(milliseconds, now_ms)

    def allows_fault(self, now_ms: float) -> bool:
        """Count a message that can't be used or done; returns whether the client may go on."""
        return self._faults.take_if_there(1, now_ms)

    def allows_response(self, now_ms: float) -> bool:
        """Count a response that the client asks for; returns whether it may have it."""
        return self._responses.take_if_there(1, now_ms)
