"""A caller with a microphone, a loudspeaker and an echo between them, in real time."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from tests.support.gateway import RealtimeClient
from tests.support.sounds import Floats, louder, pcm_of, samples_of
from tests.support.speech import RATE_HZ, noise, silence
from tests.support.waiting import eventually

STEP_MS = 40
ROOM_DBFS = -65.0


class Caller:
    """Speaks what it is given, plays what it hears, and throws what it has not played away when the gateway hears it speak."""

    def __init__(self, client: RealtimeClient, *, echo_db: float | None = None, echo_delay_ms: int = 150) -> None:
        self.client = client
        self._echo_gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
        self._says = b""
        self._unplayed = b""
        self._in_the_air = silence(echo_delay_ms)
        self._room = noise(2000, ROOM_DBFS)
        self.first_audio = asyncio.Event()

    @contextlib.asynccontextmanager
    async def on_the_line(self) -> AsyncIterator[None]:
        """Hold the microphone open and the loudspeaker on while the context lasts."""
        tasks = [asyncio.create_task(self._microphone()), asyncio.create_task(self._listen())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def say(self, audio: bytes) -> None:
        """Say this from now on."""
        self._says += audio

    async def has(self, event_type: str, count: int = 1) -> dict[str, Any]:
        """Wait for so many events of a type; returns the last."""
        await eventually(lambda: len(self.client.all(event_type)) >= count, f"{count} × {event_type}")
        return self.client.all(event_type)[count - 1]

    async def _microphone(self) -> None:
        loop = asyncio.get_running_loop()
        step, start = STEP_MS * RATE_HZ // 1000 * 2, loop.time()
        for number in range(10**6):
            played, self._unplayed = self._unplayed[:step], self._unplayed[step:]
            self._in_the_air += played.ljust(step, b"\0")
            echoed, self._in_the_air = self._in_the_air[:step], self._in_the_air[step:]
            said, self._says = self._says[:step].ljust(step, b"\0"), self._says[step:]
            room = samples_of(self._room[(number * step) % (len(self._room) - step) :][:step])
            heard: Floats = samples_of(said) + samples_of(echoed) * self._echo_gain + room
            await self.client.say(pcm_of(heard), chunk_ms=STEP_MS)
            await asyncio.sleep(max(0.0, start + (number + 1) * STEP_MS / 1000 - loop.time()))

    async def _listen(self) -> None:
        while (event := await self.client.receive()) is not None:
            if event["type"] == "response.output_audio.delta":
                self._unplayed += base64.b64decode(event["delta"])
                self.first_audio.set()
            elif event["type"] == "input_audio_buffer.speech_started":
                self._unplayed = b""


def leveled(audio: bytes, dbfs: float) -> bytes:
    """Return audio, brought to this level."""
    return louder(audio, dbfs - 20 * float(np.log10(np.sqrt(np.mean(samples_of(audio) ** 2)))))
