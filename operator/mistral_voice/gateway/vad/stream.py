"""Detection for one session: its frames, judged in order."""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import ServerVad
from mistral_voice.gateway.vad.endpointer import FRAME_MS, Endpointer, Sign
from mistral_voice.gateway.vad.engine import VadEngine
from mistral_voice.gateway.vad.level import CallerLevel

if TYPE_CHECKING:
    from mistral_voice.gateway.vad.framing import Framer
    from mistral_voice.gateway.vad.silero import Floats, SileroState

FORGET_AFTER_FRAMES = 100
"""After some three seconds of silence the model begins anew: its memory drifts."""
MOST_TAKEN = 8
"""Frames of one caller that are judged at once, if so many wait."""
SURELY_SILENT = 0.1
"""A probability of voice below this counts as silence."""

_log = logging.getLogger(__name__)

Heard = Callable[[Sign | None, int], None]
"""Told after each frame: what it made of the caller, and how far the input audio has been judged, in milliseconds."""


class VadStream:
    """Takes audio of one format and tells `heard` when the caller begins and ends to speak. Audio waits until the model is loaded."""

    def __init__(
        self,
        engine: VadEngine,
        settings: ServerVad,
        begins_ms: int,
        heard: Heard,
        audio_format: AudioFormat = AudioFormat.PCM,
        level: CallerLevel | None = None,
        broke: Callable[[Exception], None] | None = None,
        *,
        speaking: bool = False,
    ) -> None:
        self._format = audio_format
        self._engine = engine
        self._heard = heard
        self._broke = broke
        self._endpointer = Endpointer(settings, begins_ms, level, speaking=speaking)
        self._audio: list[bytes] = []
        self._frame_bytes = FRAME_MS * audio_format.bytes_per_ms
        self._uncut_bytes = 0
        self._framer: Framer | None = None
        self._frames: deque[Floats | None] = deque()
        self._silent_frames = 0
        self._taken: list[Floats] = []
        self._in_flight = False
        self._closed = False
        self._is_watched = False
        self._state: SileroState | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether no time should be lost by sharing a batch: much audio waits, or what waits may end the turn."""
        return len(self._frames) > 2 or self._endpointer.may_stop(len(self._frames) * FRAME_MS)

    @property
    def is_patient(self) -> bool:
        """Whether nobody waits for what is found: nothing sounds that could be interrupted, and Mistral doesn't tell the turn's end."""
        return not (self._endpointer.guarded or self._is_watched)

    @property
    def state(self) -> "SileroState":
        """What the model remembers of this caller."""
        if self._state is None:
            from mistral_voice.gateway.vad.silero import SileroState

            self._state = SileroState()
        return self._state

    def feed(self, audio: bytes) -> None:
        """Take whole samples of input audio."""
        self._audio.append(audio)
        self._uncut_bytes += len(audio)
        if self._uncut_bytes < self._frame_bytes:
            return
        if not self._engine.is_loaded:
            self._engine.wants(self)
        elif not self._in_flight:
            self._advance()

    def guard(self, guarded: bool) -> None:
        """The assistant speaks from now on, or no longer."""
        self._endpointer.guarded = guarded

    def watch(self, watched: bool) -> None:
        """What is judged is awaited from now on by who tells the turn's end from it, or no longer."""
        self._is_watched = watched

    def close(self) -> None:
        """Nothing more is wanted of this stream."""
        self._closed = True
        self._engine.forget(self)

    def fail(self, error: Exception) -> None:
        """Close for an error, and tell the session, which is over without its detection."""
        self.close()
        if self._broke is None:
            _log.error("Detection for a caller broke.", exc_info=error)
        else:
            self._broke(error)

    def take(self) -> "list[Floats]":
        """Return the frames that the model is to judge next: those that wait, up to the next silent one."""
        self._taken = []
        if self._find_voice():
            while self._frames and len(self._taken) < MOST_TAKEN and (frame := self._frames[0]) is not None:
                self._taken.append(frame)
                self._frames.popleft()
        self._in_flight = bool(self._taken)
        return self._taken

    def judged(self, probabilities: list[float]) -> None:
        """The model has judged the frames that were taken."""
        self._in_flight = False
        for frame, probability in zip(self._taken, probabilities, strict=True):
            if self._closed:
                return
            self._silent_frames = 0 if probability > SURELY_SILENT else self._silent_frames + 1
            self._tell(probability, float(frame.dot(frame)) / len(frame))
        self._advance()

    def _advance(self) -> None:
        if self._find_voice():
            self._engine.wants(self)

    def _find_voice(self) -> bool:
        """Judge the silent frames in front; tell whether one remains that the model has to judge."""
        self._cut_frames()
        while self._frames and self._frames[0] is None and not self._closed:
            self._frames.popleft()
            self._silent_frames += 1
            self._tell(0.0, 0.0)
        return bool(self._frames) and not self._closed

    def _cut_frames(self) -> None:
        if self._uncut_bytes < self._frame_bytes:
            return
        if self._framer is None:
            from mistral_voice.gateway.vad.framing import Framer

            self._framer = Framer(self._format)
        self._frames.extend(self._framer.frames(b"".join(self._audio)))
        self._audio.clear()
        self._uncut_bytes %= self._frame_bytes

    def _tell(self, probability: float, power: float) -> None:
        if self._silent_frames >= FORGET_AFTER_FRAMES:
            self._state = None
            self._silent_frames = 0
        event = self._endpointer.frame(probability, power)
        self._heard(event, self._endpointer.position_ms)
