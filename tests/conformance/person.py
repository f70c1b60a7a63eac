"""A person who talks through somebody else's client: a driver process that uses the library as its users do."""

import asyncio
import base64
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from mistral_voice.simulator.scripted.tone import dominant_hz
from tests.conformance.libraries import Library
from tests.conformance.recorder import Recorder
from tests.support.gateway import TOKEN
from tests.support.speech import RATE_HZ

DEADLINE_SECONDS = 90.0
_MAX_LINE_BYTES = 8 * 1024 * 1024


class Person:
    """What a user of the library does and sees. `seen` holds all that was seen."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.seen: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._process = process
        self._folder = folder
        self._news = asyncio.Condition()
        self._read = 0
        self._gone = False
        self._files = 0

    async def speak(self, audio: bytes) -> None:
        """Say something: PCM16 mono at 24 kHz."""
        self._files += 1
        file = self._folder / f"{self._files}.pcm"
        file.write_bytes(audio)
        await self.do("speak", file=str(file))

    async def write(self, text: str) -> None:
        """Write something."""
        await self.do("write", text=text)

    async def do(self, what: str, **details: str) -> None:
        """Do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **details}).encode() + b"\n")
        await self._process.stdin.drain()

    async def sees(self, *what: str) -> dict[str, Any]:
        """Return the next of these that the user has not seen yet; what comes before it is passed over."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._news:
                while True:
                    while self._read < len(self.seen):
                        self._read += 1
                        if self.seen[self._read - 1]["saw"] in what:
                            return self.seen[self._read - 1]
                    if self._gone:
                        break
                    await self._news.wait()
        except TimeoutError:
            pass
        end = "The client ended" if self._gone else f"{DEADLINE_SECONDS:g} s went by"
        raise AssertionError(f"{end} before the user saw {what}:\n{self.story()}")

    def all(self, what: str) -> list[dict[str, Any]]:
        """Return all that was seen of a kind."""
        return [sight for sight in self.seen if sight["saw"] == what]

    def sound(self) -> bytes:
        """Return all that was played."""
        return b"".join(base64.b64decode(sight["audio"]) for sight in self.all("sound"))

    async def is_told(self, text: str) -> None:
        """Wait until a reply says exactly this; some clients show the cut ones, too."""
        while (await self.sees("said"))["text"] != text:
            pass

    async def listens(self, milliseconds: int) -> None:
        """Wait until so much more has come to be played."""
        until = len(self.sound()) + 48 * milliseconds
        while len(self.sound()) < until:
            await self.sees("sound")

    def tone_hz(self) -> int:
        """Return the pitch of what was played: the scripted voice hums, and its pitch tells whose reply it is."""
        samples = np.frombuffer(self.sound(), "<i2").astype(np.float32) / np.float32(32768)
        return dominant_hz(samples, RATE_HZ)

    async def leaves(self) -> int:
        """Hang up; returns the exit status of the client's process."""
        with contextlib.suppress(ConnectionError):
            await self.do("leave")
        return await self.is_left()

    async def is_left(self) -> int:
        """Wait until the client's process has ended by itself, and return its exit status."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._process.wait()

    async def watch(self) -> None:
        """Read what the driver tells."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                if line.startswith(b'{"saw"'):
                    self.seen.append(json.loads(line))
                else:
                    self.complaints.append(line.decode(errors="replace").rstrip())
                self._news.notify_all()
        async with self._news:
            self._gone = True
            self._news.notify_all()

    async def listen_to_complaints(self) -> None:
        """Read what the library logs."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.complaints.append(line.decode(errors="replace").rstrip())

    def story(self) -> str:
        """Tell what was seen and what the library logged, without sounds."""
        sights = [json.dumps(sight) for sight in self.seen if sight["saw"] != "sound"]
        return "\n".join([*sights, *self.complaints[-40:]])


@contextlib.asynccontextmanager
async def calling(library: Library, recorder: Recorder, folder: Path, *options: str, token: str = TOKEN) -> AsyncIterator[Person]:
    """Let a person call the gateway behind the recorder. Options are the driver's: `tools`, `reconnect`.

    The client is killed at the end if it still runs.
    """
    process = await asyncio.create_subprocess_exec(
        *library.driver_command(folder),
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**library.environ(os.environ), "MISTRAL_VOICE_URL": recorder.base_url, "MISTRAL_VOICE_TOKEN": token},
        limit=_MAX_LINE_BYTES,
    )
    person = Person(process, folder)
    tasks = [asyncio.create_task(person.watch()), asyncio.create_task(person.listen_to_complaints())]
    try:
        yield person
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*tasks)
        print("What the user saw:", person.story(), recorder.story(), sep="\n")
