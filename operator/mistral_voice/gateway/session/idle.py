"""A caller who says nothing after the assistant has been heard: after a while the assistant speaks again, if the client wants that."""

from mistral_voice.gateway.session.config import ServerVad, SessionConfig, SessionType


class Idle:
    """Counts how long nobody has said anything."""

    def __init__(self) -> None:
        self._since_ms: float | None = None

    def watch(self, now_ms: float, *, is_busy: bool) -> None:
        """Note whether anything is going on at this moment."""
        if is_busy:
            self._since_ms = None
        elif self._since_ms is None:
            self._since_ms = now_ms

    def deadline_ms(self, config: SessionConfig, plays_until_ms: float | None) -> float | None:
        """Return when the client's patience is over; None if it has set no limit. It begins when the last reply has been heard."""
        timeout_ms = idle_timeout_ms(config)
        if timeout_ms is None or self._since_ms is None:
            return None
        return max(self._since_ms, plays_until_ms or 0.0) + timeout_ms


def idle_timeout_ms(config: SessionConfig) -> int | None:
    """Return how long the caller may be silent; None: for ever."""
    detection = config.turn_detection
    return detection.idle_timeout_ms if config.type is SessionType.REALTIME and isinstance(detection, ServerVad) else None
