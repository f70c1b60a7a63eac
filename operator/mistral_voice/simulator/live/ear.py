"""The live ear: finds turns by loudness, and understands them while they are spoken."""

import logging
import re
from collections.abc import Sequence

import numpy as np
import soxr

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.energy import Edge, EnergyDetector, EnergySettings
from mistral_voice.simulator.live.recogniser import RecogniserError, RecogniserPool, Utterance
from mistral_voice.simulator.live.recogniser_process import SAMPLE_RATE
from mistral_voice.simulator.temperament import Heard
from mistral_voice.simulator.wire.transcription import (
    Language,
    ServerEvent,
    Session,
    TextDelta,
    TurnEagerEnd,
    TurnEnd,
    TurnResume,
    TurnStart,
)

logger = logging.getLogger(__name__)

_DEFAULT_END_MS = 500
_PRE_ROLL_MS = 400
"""Audio before the turn was noticed that is understood as well: soft first sounds."""


class LiveEar:
    """One session's ear."""

    def __init__(self, session: Session, pool: RecogniserPool, *, tells_turns: bool) -> None:
        rate = session.audio_format.sample_rate
        end_ms = session.turn_detection.min_silence_ms if session.turn_detection else _DEFAULT_END_MS
        self._pool = pool
        self._tells_turns = tells_turns
        self._detector = EnergyDetector(rate, EnergySettings(end_ms=end_ms))
        self._frame = self._detector.frame_samples
        self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32") if rate != SAMPLE_RATE else None
        self._utterance: Utterance | None = None
        self._pre_roll: Samples = np.zeros(0, np.float32)
        self._told_language = False
        self._spoke = False

    async def hear(self, samples: Samples) -> Sequence[Heard]:
        """Take audio in and return what it gives rise to."""
        heard: list[Heard] = []
        # In pieces of a frame, so that an edge within a long message cuts the audio where it is.
        for start in range(0, len(samples), self._frame):
            piece = samples[start : start + self._frame]
            edges = self._detector.feed(piece)
            self._take(self._resampler.resample_chunk(piece) if self._resampler is not None else piece)
            for edge, position_ms in edges:
                if edge is not None:
                    heard += await self._apply(edge, position_ms)
        return heard

    async def flush(self) -> Sequence[Heard]:
        """Return the words of the present turn."""
        self._detector.cut_turn()
        return await self._understood()

    async def end(self) -> Sequence[Heard]:
        """Return the words of the present turn."""
        return await self.flush()

    async def close(self) -> None:
        """Forget the present turn."""
        if self._utterance is not None:
            await self._utterance.cancel()

    def _take(self, samples: Samples) -> None:
        if self._utterance is not None:
            self._utterance.feed(samples)
        else:
            self._pre_roll = np.concatenate((self._pre_roll, samples))[-_PRE_ROLL_MS * SAMPLE_RATE // 1000 :]

    async def _apply(self, edge: Edge, position_ms: int) -> list[Heard]:
        match edge:
            case Edge.START:
                self._utterance = self._pool.utterance()
                self._utterance.feed(self._pre_roll)
                self._pre_roll = self._pre_roll[:0]
                return self._tell(TurnStart(position_ms / 1000))
            case Edge.EAGER_END:
                return self._tell(TurnEagerEnd(position_ms / 1000))
            case Edge.RESUME:
                return self._tell(TurnResume(position_ms / 1000))
            case Edge.END:
                return [*await self._understood(), *self._tell(TurnEnd(position_ms / 1000))]

    async def _understood(self) -> list[Heard]:
        """End the utterance and return its words, each as a delta."""
        utterance, self._utterance = self._utterance, None
        if utterance is None:
            return []
        try:
            words = await utterance.finish()
        except RecogniserError as error:
            logger.error("A turn was not understood: %s", error)
            return []
        if not words:
            return []
        heard = [] if self._told_language else [Heard(Language("en"))]
        self._told_language = True
        text = f" {words}" if self._spoke else words
        self._spoke = True
        return [*heard, *(Heard(TextDelta(piece)) for piece in re.findall(r"\s*\S+", text))]

    def _tell(self, event: ServerEvent) -> list[Heard]:
        return [Heard(event)] if self._tells_turns else []
