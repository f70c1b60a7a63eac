"""Audio of a reply between the upstream, which makes it faster than it is heard, and the client."""

from collections import deque

from mistral_voice.gateway.session.audio_format import AudioFormat


class Playout:
    """Releases a reply's audio, at most `lead_ms` ahead of its playback; None releases all at once.

    Playback is taken to begin when the first audio is released, and again after each time the client has run dry.
    """

    def __init__(self, lead_ms: float | None, audio_format: AudioFormat = AudioFormat.PCM) -> None:
        self._lead_ms = lead_ms
        self._bytes_per_ms = audio_format.bytes_per_ms
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._plays_until_ms: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all audio has been released."""
        return not self._waiting

    @property
    def deadline_ms(self) -> float | None:
        """When the next audio may be released, None if none waits."""
        if not self._waiting or self._lead_ms is None or self._plays_until_ms is None:
            return None
        return self._plays_until_ms - self._lead_ms

    def push(self, segment: int, audio: bytes) -> None:
        """Take audio of a segment."""
        self._waiting.append((segment, audio))

    def release(self, now_ms: float) -> list[tuple[int, bytes]]:
        """Return the audio, by segment, that goes to the client now."""
        released: list[tuple[int, bytes]] = []
        while self._waiting and self._may_release(now_ms):
            segment, audio = self._waiting.popleft()
            released.append((segment, audio))
            begins = now_ms if self._plays_until_ms is None else max(self._plays_until_ms, now_ms)
            self._plays_until_ms = begins + len(audio) / self._bytes_per_ms
        return released

    def _may_release(self, now_ms: float) -> bool:
        if self._lead_ms is None or self._plays_until_ms is None:
            return True
        return self._plays_until_ms - self._lead_ms <= now_ms
