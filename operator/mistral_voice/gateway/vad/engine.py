"""Detection for all sessions of a gateway: frames of all callers in one batch, one worker thread, one tick."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mistral_voice.gateway.vad.silero import Floats, Silero, SileroState
    from mistral_voice.gateway.vad.stream import VadStream

TICK_SECONDS = 0.008
"""Frames that come within this time of each other share a batch, unless a turn may end with one."""
PATIENT_TICKS = 3
"""So many ticks may pass while all that wait are patient: sixteen frames in one batch cost 23 µs each, four cost 33, one alone 80."""
LARGEST_BATCH = 32
"""More frames make no batch cheaper, and the first would wait for the last: some 25 µs a frame."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class VadEngine:
    """Loads the model when first needed and judges the frames of its streams, those of a tick together. `run()` is its only task."""

    def __init__(self, tick_seconds: float = TICK_SECONDS) -> None:
        self._tick_seconds = tick_seconds
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad")
        self._model: Silero | None = None
        self._waiting: dict[VadStream, None] = {}
        self._wake = asyncio.Event()
        self._due = asyncio.Event()
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether the model is there."""
        return self._model is not None

    async def warm(self) -> None:
        """Load the model and its libraries now, in the worker."""
        if self._model is None:
            self._model = await asyncio.get_running_loop().run_in_executor(self._worker, _load)

    def wants(self, stream: "VadStream") -> None:
        """A stream has frames to be judged."""
        self._waiting[stream] = None
        self._wake.set()
        if stream.is_urgent or len(self._waiting) >= LARGEST_BATCH:
            self._due.set()
        elif not self._due.is_set():
            self._be_due_within(self._tick_seconds * (PATIENT_TICKS if stream.is_patient else 1))

    def forget(self, stream: "VadStream") -> None:
        """A stream has ended."""
        self._waiting.pop(stream, None)

    def load_soon(self) -> None:
        """Load the model before the first session needs it."""
        self._wake.set()

    async def run(self) -> None:
        """Judge frames until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wake.wait()
                await self.warm()
                if self._waiting:
                    await self._due.wait()  # Until then more frames may come.
                self._rest()
                await self._judge(loop)
        finally:
            self._rest()
            self._worker.shutdown(wait=False, cancel_futures=True)

    def _be_due_within(self, seconds: float) -> None:
        """Judge what waits no later than that."""
        loop = asyncio.get_running_loop()
        due_at = loop.time() + seconds
        if self._tick is not None:
            if self._tick_at <= due_at:
                return
            self._tick.cancel()
        self._tick_at = due_at
        self._tick = loop.call_later(seconds, self._due.set)

    def _rest(self) -> None:
        """Begin to gather anew."""
        self._wake.clear()
        self._due.clear()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    async def _judge(self, loop: asyncio.AbstractEventLoop) -> None:
        streams = list(self._waiting)
        self._waiting.clear()
        taken = [(stream, frames) for stream in streams if (frames := _alone(stream, stream.take))]
        model = self._model
        if model is None or not taken:
            return
        callers = [(frames, stream.state) for stream, frames in taken]
        # All that waits goes over at once: a busy machine may take longer to change threads than the model needs.
        found = await loop.run_in_executor(self._worker, _judged, model, callers)
        for (stream, _), probabilities in zip(taken, found, strict=True):
            _alone(stream, partial(stream.judged, probabilities))


def _alone(stream: "VadStream", step: Callable[[], _T]) -> _T | None:
    """Let a stream do a step, in which its session takes part; what goes wrong there ends that session, and no other."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - detection goes on for all others
        stream.fail(error)
        return None


def _judged(model: "Silero", callers: "list[tuple[list[Floats], SileroState]]") -> list[list[float]]:
    """Return the probabilities of voice in each caller's frames, which follow upon each other."""
    found: list[list[float]] = [[] for _ in callers]
    for place in range(max(len(frames) for frames, _ in callers)):
        there = [number for number, (frames, _) in enumerate(callers) if place < len(frames)]
        for first in range(0, len(there), LARGEST_BATCH):
            batch = there[first : first + LARGEST_BATCH]
            judged = model.probabilities([callers[number][0][place] for number in batch], [callers[number][1] for number in batch])
            for number, probability in zip(batch, judged, strict=True):
                found[number].append(probability)
    return found


def _load() -> "Silero":
    from mistral_voice.gateway.vad import framing, silero

    framing.Framer()
    model = silero.Silero()
    _log.info("Turn detection is loaded.")
    return model
