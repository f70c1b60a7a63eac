"""Audio of a reply between the upstream, which makes it faster than it is heard, and the client."""

from collections import deque

from mistral_voice.gateway.session.audio_format import AudioFormat

LEAD_MS = 1000.0
"""Audio goes out at most so far ahead of its playback: whoever interrupts has little to throw away, and a short hold isn't heard."""
TOP_UP_MS = 400.0
"""The lead is topped up once it has fallen by so much, so that few and larger messages go out; it never falls below the rest."""


class Playout:
    """Releases a reply's audio, at most `lead_ms` ahead of its playback, cut where it must be. No byte is lost, doubled or out of order.

    Playback is taken to begin with the first audio released, at the earliest at `begins_ms`, when what came before has been played; and
    anew after each time the client has run dry.
    """

    def __init__(self, lead_ms: float = LEAD_MS, begins_ms: float | None = None, audio_format: AudioFormat = AudioFormat.PCM) -> None:
        self._lead_ms = lead_ms
        self._bytes_per_ms = audio_format.bytes_per_ms
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._plays_until_ms = begins_ms

    @property
    def is_empty(self) -> bool:
        """Whether all audio has been released."""
        return not self._waiting

    @property
    def plays_until_ms(self) -> float | None:
        """When the client will have played all that it was given; None if there was nothing yet."""
        return self._plays_until_ms

    @property
    def deadline_ms(self) -> float | None:
        """When the next audio may be released, None if none waits."""
        if not self._waiting or self._plays_until_ms is None:
            return None
        return self._plays_until_ms - self._lead_ms + TOP_UP_MS

    def push(self, segment: int, audio: bytes) -> None:
        """Take audio of a segment: whole samples."""
        if audio:
            self._waiting.append((segment, audio))

    def release(self, now_ms: float) -> list[tuple[int, bytes]]:
        """Return the audio that goes to the client now, in one piece for each segment."""
        deadline_ms = self.deadline_ms
        if not self._waiting or (deadline_ms is not None and now_ms < deadline_ms):
            return []
        begins = now_ms if self._plays_until_ms is None else max(self._plays_until_ms, now_ms)
        released = self._take(int(now_ms + self._lead_ms - begins) * self._bytes_per_ms)
        self._plays_until_ms = begins + sum(len(audio) for _, audio in released) / self._bytes_per_ms
        return released

    def _take(self, most: int) -> list[tuple[int, bytes]]:
        pieces: list[tuple[int, list[bytes]]] = []
        while self._waiting and most > 0:
            segment, audio = self._waiting.popleft()
            if len(audio) > most:
                self._waiting.appendleft((segment, audio[most:]))
                audio = audio[:most]
            most -= len(audio)
            if pieces and pieces[-1][0] == segment:
                pieces[-1][1].append(audio)
            else:
                pieces.append((segment, [audio]))
        return [(segment, b"".join(audio)) for segment, audio in pieces]
