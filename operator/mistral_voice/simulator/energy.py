"""Turn detection by loudness: pure, and counted in audio time alone."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mistral_voice.simulator.audio import Samples

FRAME_MS = 20


class Edge(StrEnum):
    """What happened in a frame."""

    START = "start"
    EAGER_END = "eager_end"
    RESUME = "resume"
    END = "end"


@dataclass(frozen=True)
class EnergySettings:
    """When a turn starts and ends, in ms of audio."""

    threshold_dbfs: float = -45.0
    start_ms: int = 60
    eager_end_ms: int = 200
    end_ms: int = 500


class EnergyDetector:
    """Finds turns in frames of 20 ms."""

    def __init__(self, sample_rate: int, settings: EnergySettings) -> None:
        self._settings = settings
        self.frame_samples = sample_rate * FRAME_MS // 1000
        self._power = 10 ** (settings.threshold_dbfs / 10) if settings.threshold_dbfs > -math.inf else 0.0
        self._rest: Samples = np.zeros(0, np.float32)
        self.position_ms = 0
        self.in_turn = False
        self.holds_turn = False
        """Whether silence does not end the present turn."""
        self._eager = False
        self._voiced_ms = 0
        self._silent_ms = 0

    def feed(self, samples: Samples) -> list[tuple[Edge | None, int]]:
        """Return for each whole frame its edge, if any, and the position of its end in ms."""
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        elif len(samples) == self.frame_samples:
            # The usual case, and the hot one: clients send whole frames.
            return [self._step(float(np.dot(samples, samples)) / self.frame_samples > self._power)]
        count = len(samples) // self.frame_samples
        self._rest = samples[count * self.frame_samples :]
        if not count:
            return []
        frames = samples[: count * self.frame_samples].reshape(count, self.frame_samples)
        voiced = (np.einsum("ij,ij->i", frames, frames) / self.frame_samples) > self._power
        return [self._step(bool(loud)) for loud in voiced]

    def cut_turn(self) -> None:
        """End the present turn from outside: the next one needs new speech."""
        self.in_turn = self._eager = False
        self._voiced_ms = self._silent_ms = 0

    def _step(self, voiced: bool) -> tuple[Edge | None, int]:
        self.position_ms += FRAME_MS
        return self._edge(voiced), self.position_ms

    def _edge(self, voiced: bool) -> Edge | None:
        if not self.in_turn:
            self._voiced_ms = self._voiced_ms + FRAME_MS if voiced else 0
            if self._voiced_ms < max(FRAME_MS, self._settings.start_ms):
                return None
            self.in_turn, self._eager, self._silent_ms = True, False, 0
            return Edge.START
        if voiced:
            self._silent_ms = 0
            if self._eager:
                self._eager = False
                return Edge.RESUME
            return None
        self._silent_ms += FRAME_MS
        if self._silent_ms >= self._settings.end_ms and not self.holds_turn:
            self.cut_turn()
            return Edge.END
        if not self._eager and self._silent_ms >= self._settings.eager_end_ms:
            self._eager = True
            return Edge.EAGER_END
        return None
