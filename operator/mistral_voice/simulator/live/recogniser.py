"""Speech recognition in child processes, one utterance each at a time."""

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process

import numpy as np

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.errors import SimulatorError
from mistral_voice.simulator.live import recogniser_process
from mistral_voice.simulator.live.recogniser_process import HEADER, LENGTH, SAMPLE_RATE

logger = logging.getLogger(__name__)

_MAX_WAITING_SECONDS = 60
_START_SECONDS = 60.0
_LEAD_SECONDS = 0.2
_CHUNK_SAMPLES = SAMPLE_RATE // 50


class RecogniserError(SimulatorError):
    """The recogniser can't hear; the text says why."""


class _Worker:
    """One child process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def process_id(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def send(self, letter: bytes, data: bytes = b"") -> None:
        """Send a frame; waits while the child is behind."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.write(HEADER.pack(letter, len(data)) + data)
        await self._process.stdin.drain()

    async def answer(self) -> str:
        """Return the child's next answer."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        return (await self._process.stdout.readexactly(length)).decode()

    async def stop(self) -> None:
        """End the child."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(2):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class RecogniserPool:
    """Child processes that are ready to hear. More utterances than children wait for their turn."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._closed = False

    async def start(self, workers: int) -> None:
        """Start the children and wait until they can hear. Raises RecogniserError if one can't."""
        self._workers = list(await asyncio.gather(*(_start_worker() for _ in range(workers))))
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def close(self) -> None:
        """End the children."""
        self._closed = True
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.stop() for worker in workers))

    @property
    def process_ids(self) -> list[int]:
        """The children's process ids."""
        return [worker.process_id for worker in self._workers]

    def utterance(self) -> "Utterance":
        """Begin an utterance; `finish` or `cancel` it. Call it inside a running loop."""
        return Utterance(self)

    async def hear(self, samples: Samples) -> str:
        """Return the words in a recording at 16 kHz."""
        utterance = self.utterance()
        try:
            for start in range(0, len(samples), SAMPLE_RATE):
                utterance.feed(samples[start : start + SAMPLE_RATE])
            return await utterance.finish()
        finally:
            await utterance.cancel()

    async def take(self) -> _Worker:
        """Return an idle child; waits for one."""
        return await self._idle.get()

    async def give_back(self, worker: _Worker, *, usable: bool) -> None:
        """Return a child to the idle ones, or replace it if it is not usable."""
        if usable:
            self._idle.put_nowait(worker)
            return
        if worker in self._workers:
            self._workers.remove(worker)
            await worker.stop()
            try:
                worker = await _start_worker()
            except RecogniserError as error:
                # The dead child stays in line: the next utterance fails as well, and tries again to replace it.
                logger.error("A recogniser could not be replaced: %s", error)
            if self._closed:
                await worker.stop()
            self._workers.append(worker)
            self._idle.put_nowait(worker)


class Utterance:
    """One utterance on its way through a child: audio is decoded while it comes."""

    def __init__(self, pool: RecogniserPool) -> None:
        self._pool = pool
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=_MAX_WAITING_SECONDS * 50)
        self._task = asyncio.create_task(self._decode())

    def feed(self, samples: Samples) -> None:
        """Hand samples at 16 kHz over. What comes more than a minute before it can be decoded is lost."""
        data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        with contextlib.suppress(asyncio.QueueFull):
            self._audio.put_nowait(data)

    async def finish(self) -> str:
        """Return the words heard. Raises RecogniserError if the child is lost."""
        await self._audio.put(None)
        return await self._task

    async def cancel(self) -> None:
        """Forget the utterance."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _decode(self) -> str:
        worker = await self._pool.take()
        awaited = False
        try:
            # The acoustic model wants some silence before the first word.
            await worker.send(b"S")
            await worker.send(b"A", bytes(int(_LEAD_SECONDS * SAMPLE_RATE) * 2))
            while (data := await self._audio.get()) is not None:
                for start in range(0, len(data), _CHUNK_SAMPLES * 2):
                    await worker.send(b"A", data[start : start + _CHUNK_SAMPLES * 2])
            await worker.send(b"A", bytes(int(_LEAD_SECONDS * SAMPLE_RATE) * 2))
            awaited = True
            await worker.send(b"E")
            words = await worker.answer()
            awaited = False
        except (OSError, EOFError) as error:
            awaited = True
            raise RecogniserError("The recogniser's process is gone.") from error
        finally:
            # A child that still owes an answer would give it to the next utterance; one in mid-utterance just starts the next.
            await asyncio.shield(self._pool.give_back(worker, usable=not awaited))
        return words


async def _start_worker() -> _Worker:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", recogniser_process.__file__, stdin=PIPE, stdout=PIPE, limit=1_048_576
    )
    worker = _Worker(process)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await worker.answer()
    except (TimeoutError, EOFError, OSError) as error:
        await worker.stop()
        raise RecogniserError("The recogniser did not start: is the `live` extra installed (pocketsphinx)?") from error
    return worker
