"""Speech sockets of a pod: each speaks one reply of one session and is closed; spares stand open ahead of the replies to come.

A piece of audio bears no mark of the text that it speaks, so what a socket still sends of a cancelled reply can't be told from the next
one's audio. Therefore no socket is ever given to a second reply, not even after its last `done`. All that is handed on are sockets that
were never asked to speak: they have nothing to send, and one that sends audio all the same is closed.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

from msgspec import Struct

from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.gateway.upstream.tasks import UpstreamObserver
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.speech import SpeechChunk, SpeechEnd, SpeechSocket, open_speech

MOST_SPARES = 8
"""Spares of a pod, unless its settings say otherwise."""
DEMAND_SECONDS = 10.0
"""As many spares of a voice are kept as were taken within so long, …"""
WANTED_SECONDS = 60.0
"""… and one for so long after the last was taken."""
OLDEST_SECONDS = 45.0
"""A spare is closed after so long: how long Mistral keeps a silent one isn't known."""
LOOK_SECONDS = 1.0
"""How often spares are looked after."""
BACK_OFF_SECONDS = (2.0, 60.0)
"""Pause after a spare that couldn't be opened or was closed on us; doubled each time, up to the second."""
WITHOUT_SOCKETS_SECONDS = 30.0
"""After speech has been had over HTTP, but no socket, sockets are not tried for so long."""

_log = logging.getLogger(__name__)


class SpeechTransport(StrEnum):
    """How Mistral is asked to speak: over sockets and, where none can be had, over HTTP; or over one of them only."""

    AUTO = "auto"
    REALTIME = "realtime"
    HTTP = "http"


class SpeechKey(Struct, frozen=True):
    """What a spare fits: `generation` counts the credentials, so that none outlives its key."""

    model: str
    voice: str
    response_format: str
    generation: int


class _Line(Struct, eq=False):
    """An open socket that was never asked to speak. `taken`: it is the pool's no more. `watch` sees to it while it is a spare."""

    key: SpeechKey
    socket: SpeechSocket
    closing: AsyncExitStack
    opened: float
    taken: bool = False
    watch: "asyncio.Task[None] | None" = None


class Lease:
    """A socket in the hands of one reply. `was_spare`: it had stood open, so that it may have died of age."""

    def __init__(self, socket: SpeechSocket, *, was_spare: bool) -> None:
        self._socket = socket
        self.was_spare = was_spare
        self.was_asked = False
        self.has_answered = False

    async def speak(self, text: str) -> None:
        """Have a text spoken."""
        self.was_asked = True
        await self._socket.speak(text)

    async def receive(self, seconds: float) -> SpeechChunk | SpeechEnd:
        """Return the next audio, or the end of a text's."""
        piece = await self._socket.receive(seconds)
        self.has_answered = True
        return piece


class _Voice(Struct):
    """What is wanted of a voice: when sockets were taken, and when spares may be opened again after a failure."""

    taken: deque[float]
    not_before: float = 0.0
    failures: int = 0


class SpeechSockets:
    """All speech sockets go out from here. `run()` keeps the spares; without it each socket is opened when it is asked for."""

    def __init__(
        self,
        client: StreamClient,
        model: str,
        observer: UpstreamObserver,
        most_spares: int = MOST_SPARES,
        transport: SpeechTransport = SpeechTransport.AUTO,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.model = model
        self.transport = transport
        self._observer = observer
        self._most = most_spares if transport is not SpeechTransport.HTTP else 0
        self._now = now
        self._spares: list[_Line] = []
        self._opening: list[SpeechKey] = []
        self._voices: dict[str, _Voice] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._wake = asyncio.Event()
        self._over_http_until = 0.0

    @property
    def spare_count(self) -> int:
        """Spares that stand open."""
        return len(self._spares)

    @property
    def are_avoided(self) -> bool:
        """Whether speech is to be had over HTTP at present."""
        return self.transport is SpeechTransport.HTTP or self._now() < self._over_http_until

    def may_do_without(self, error: StreamError) -> bool:
        """Whether speech is to be tried over HTTP after this trouble with getting a socket: not where HTTP would meet the same."""
        same = (FaultKind.UNAUTHORIZED, FaultKind.FORBIDDEN, FaultKind.RATE_LIMITED, FaultKind.NO_CREDENTIAL)
        return self.transport is SpeechTransport.AUTO and error.kind not in same

    def had_over_http(self) -> None:
        """No socket was to be had, but HTTP served."""
        if self.transport is SpeechTransport.AUTO and not self.are_avoided:
            _log.warning("Mistral gives no speech socket; speech goes over HTTP for %d s.", WITHOUT_SOCKETS_SECONDS)
            self._over_http_until = self._now() + WITHOUT_SOCKETS_SECONDS

    async def run(self) -> None:
        """Keep spares until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                while True:
                    self._wake.clear()
                    self._look_after()
                    try:
                        async with asyncio.timeout(LOOK_SECONDS if self._voices else None):
                            await self._wake.wait()
                    except TimeoutError:
                        continue
        finally:
            self._tasks = None

    @asynccontextmanager
    async def lease(self, voice: str, *, fresh: bool = False) -> AsyncIterator[Lease]:
        """Have a socket for one reply: a spare, or with `fresh` surely a new one. Raises StreamError if there is none to be had.

        It is closed in the end, unless it was never asked to speak and nothing went wrong.
        """
        key = self._key(voice)
        line = None if fresh else await self._take(key)
        lease = Lease(line.socket, was_spare=True) if line else None
        self._want(voice, found=line is not None)
        if line is None or lease is None:
            line = await self._open(key)
            lease = Lease(line.socket, was_spare=False)
        self._observer.speech_socket(spare=lease.was_spare)
        spoiled = False
        try:
            yield lease
        except StreamError:
            spoiled = True
            raise
        finally:
            if lease.was_asked or spoiled or not self._put_back(line):
                await line.closing.aclose()

    def _key(self, voice: str) -> SpeechKey:
        return SpeechKey(self.model, voice, "pcm", self.client.generation())

    def _want(self, voice: str, *, found: bool) -> None:
        wanted = self._voices.setdefault(voice, _Voice(deque(maxlen=max(1, self._most))))
        wanted.taken.append(self._now())
        if found:
            wanted.failures = 0
        self._wake.set()

    async def _take(self, key: SpeechKey) -> _Line | None:
        while (line := next((spare for spare in reversed(self._spares) if spare.key == key), None)) is not None:
            self._release(line)
            try:
                if await _is_unspoiled(line):
                    return line
            except BaseException:
                await line.closing.aclose()
                raise
            await line.closing.aclose()
        return None

    async def _open(self, key: SpeechKey) -> _Line:
        closing = AsyncExitStack()
        self._observer.requested(UpstreamKind.SPEECH)
        socket = await closing.enter_async_context(open_speech(self.client, key.model, key.voice))
        return _Line(key, socket, closing, self._now())

    def _put_back(self, line: _Line) -> bool:
        """Let a socket that was never asked to speak be a spare again; tells whether it is wanted."""
        if self._tasks is None or len(self._spares) >= self._most or not self._is_fit(line):
            return False
        line.taken = False
        self._stand_by(line, self._tasks)
        return True

    def _stand_by(self, line: _Line, tasks: asyncio.TaskGroup) -> None:
        self._spares.append(line)
        line.watch = tasks.create_task(self._watch(line))

    def _release(self, line: _Line) -> None:
        line.taken = True
        self._spares.remove(line)

    def _is_fit(self, line: _Line) -> bool:
        try:
            generation = self.client.generation()
        except StreamError:
            return False
        return line.key.generation == generation and self._now() - line.opened < OLDEST_SECONDS

    def _look_after(self) -> None:
        now = self._now()
        for line in [spare for spare in self._spares if not self._is_fit(spare)]:
            self._dismiss(line)
        for voice in [name for name, wanted in self._voices.items() if now - wanted.taken[-1] > WANTED_SECONDS]:
            del self._voices[voice]
        for line in [spare for spare in self._spares if spare.key.voice not in self._voices]:
            self._dismiss(line)
        for voice, wanted in self._voices.items():
            if now >= wanted.not_before and not self.are_avoided:
                self._open_spares(voice, max(1, sum(1 for at in wanted.taken if now - at < DEMAND_SECONDS)))

    def _open_spares(self, voice: str, wanted: int) -> None:
        try:
            key = self._key(voice)
        except StreamError:
            return
        there = sum(spare.key == key for spare in self._spares) + self._opening.count(key)
        room = self._most - len(self._spares) - len(self._opening)
        for _ in range(min(wanted - there, room)):
            if self._tasks is not None:
                self._opening.append(key)
                self._tasks.create_task(self._open_spare(key))

    def _dismiss(self, line: _Line) -> None:
        if self._tasks is not None:
            self._release(line)
            self._tasks.create_task(_discard(line))

    async def _open_spare(self, key: SpeechKey) -> None:
        try:
            line = await self._open(key)
        except StreamError as error:
            self._observer.failed(UpstreamKind.SPEECH, error)
            self._failed(key.voice)
            return
        except Exception as error:  # noqa: BLE001 - without a spare a reply opens a socket of its own; no other spare is the worse for it
            _log.error("A spare speech socket could not be opened.", exc_info=error)
            self._failed(key.voice)
            return
        finally:
            self._opening.remove(key)
        if self._tasks is None:
            await line.closing.aclose()
        else:
            self._stand_by(line, self._tasks)

    async def _watch(self, line: _Line) -> None:
        """Read what comes, which should be nothing, so that a spare that was closed, or that speaks unasked, is noticed."""
        try:
            await line.socket.receive(None)
        except StreamError:
            self._failed(line.key.voice)
        except Exception as error:  # noqa: BLE001 - it is one spare the less
            _log.error("A spare speech socket broke.", exc_info=error)
            self._failed(line.key.voice)
        else:
            _log.warning("A speech socket sent audio unasked; it is closed.")
            self._failed(line.key.voice)
        finally:
            if not line.taken:
                self._release(line)
                await line.closing.aclose()

    def _failed(self, voice: str) -> None:
        wanted = self._voices.get(voice)
        if wanted is not None:
            shortest, longest = BACK_OFF_SECONDS
            wanted.not_before = self._now() + min(longest, shortest * 2**wanted.failures)
            wanted.failures = min(wanted.failures + 1, 10)


async def _discard(line: _Line) -> None:
    """End the watch over a spare, which may not have begun yet, and close it."""
    await _is_unspoiled(line)
    await line.closing.aclose()


async def _is_unspoiled(line: _Line) -> bool:
    """End the watch over a spare; tells whether nothing had come by then."""
    watch = line.watch
    if watch is None:
        return True
    watch.cancel()
    await asyncio.wait({watch})
    return watch.cancelled()
