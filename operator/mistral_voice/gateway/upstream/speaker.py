"""Has replies spoken: one speech socket for each, opened while the reply is still being written."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.commands import Speak
from mistral_voice.gateway.session.inputs import SpeechAudio, SpeechFailed, SpeechFinished
from mistral_voice.gateway.upstream.tasks import ATTEMPTS, RETRY_SECONDS, Emit, Spawn, UpstreamObserver, alongside, fault_of
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import StreamError
from mistral_voice.mistral.stream.speech import SpeechChunk, SpeechSocket, open_speech

if TYPE_CHECKING:
    from mistral_voice.gateway.audio.playable import Playable

UNUSED_SECONDS = 15.0
"""A socket that was opened ahead and found no reply to speak is closed after so long."""


class Speaker:
    """The speech sockets of one session. A socket speaks one reply and is never used again: what it still sends can reach no other."""

    def __init__(self, client: StreamClient, model: str, emit: Emit, spawn: Spawn, observer: UpstreamObserver) -> None:
        self._client = client
        self._model = model
        self._emit = emit
        self._spawn = spawn
        self._observer = observer
        self._prepared: _Speech | None = None
        self._speaking: dict[str, _Speech] = {}

    def prepare(self, voice: str) -> None:
        """Open a socket ahead of the first text."""
        if self._prepared is None or self._prepared.voice != voice or self._prepared.is_over:
            self._discard_prepared()
            self._prepared = self._open(voice)

    def speak(self, command: Speak) -> None:
        """Speak a segment of a reply."""
        speech = self._speaking.get(command.response_id)
        if speech is None:
            speech = self._taken(command.voice)
            self._speaking[command.response_id] = speech
            speech.begin(command.response_id, command.audio_format, lambda: self._speaking.pop(command.response_id, None))
        speech.add(command.segment, command.text)

    def finish(self, response_id: str) -> None:
        """A reply has no further segments: its socket closes after the last."""
        speech = self._speaking.get(response_id)
        if speech is not None:
            speech.finish()

    def drop(self, response_id: str) -> None:
        """Stop speaking this reply, also the one that was to begin."""
        self._discard_prepared()
        speech = self._speaking.get(response_id)
        if speech is not None:
            speech.stop()

    def _taken(self, voice: str) -> "_Speech":
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared.voice == voice and not prepared.is_over:
            return prepared
        if prepared is not None:
            prepared.stop()
        return self._open(voice)

    def _open(self, voice: str) -> "_Speech":
        speech = _Speech(self._client, self._model, voice, self._emit, self._observer)
        speech.run_as(self._spawn(speech.run()))
        return speech

    def _discard_prepared(self) -> None:
        if self._prepared is not None:
            self._prepared.stop()
            self._prepared = None


class _Segment:
    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.is_heard = False


class _Speech:
    """One reply being spoken, its segments in order.

    If the socket breaks before anything of the present segment was heard, that segment and those after it are spoken on a new one.
    """

    def __init__(self, client: StreamClient, model: str, voice: str, emit: Emit, observer: UpstreamObserver) -> None:
        self.voice = voice
        self._client = client
        self._model = model
        self._emit = emit
        self._observer = observer
        self._response_id: str | None = None
        self._playable: Playable | None = None
        self._held: SpeechFinished | None = None
        self._pending: deque[_Segment] = deque()
        self._unsent: deque[_Segment] = deque()
        self._finished = False
        self._to_send = asyncio.Event()
        self._to_receive = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether its socket is gone."""
        return self._task is not None and self._task.done()

    def run_as(self, task: "asyncio.Task[None]") -> None:
        """Know the task that runs it."""
        self._task = task

    def begin(self, response_id: str, audio_format: AudioFormat, when_over: Callable[[], object]) -> None:
        """It is this reply that is spoken, in this format."""
        from mistral_voice.gateway.audio.playable import Playable  # numpy is loaded when first needed

        self._response_id = response_id
        self._playable = Playable(audio_format)
        if self._task is not None:
            self._task.add_done_callback(lambda _: when_over())

    def add(self, number: int, text: str) -> None:
        """Speak one more segment."""
        segment = _Segment(number, text)
        self._let_go()
        self._pending.append(segment)
        self._unsent.append(segment)
        self._to_send.set()
        self._to_receive.set()

    def finish(self) -> None:
        """No more segments come."""
        self._finished = True
        if not self._pending:
            self._let_go()
        self._to_receive.set()

    def stop(self) -> None:
        """Nothing more is wanted."""
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Speak until the last segment is spoken, or it can't be."""
        for attempt in range(1, ATTEMPTS + 1):
            self._observer.requested("speech")
            try:
                async with open_speech(self._client, self._model, self.voice) as socket:
                    await alongside(self._receive(socket), self._send(socket))
            except StreamError as error:
                self._observer.failed("speech", error)
                heard = bool(self._pending) and self._pending[0].is_heard
                if attempt == ATTEMPTS or heard or not error.is_transient:
                    await self._give_up(error)
                    return
                self._unsent = deque(self._pending)
                self._to_send.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _send(self, socket: SpeechSocket) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._unsent:
                await socket.speak(self._unsent.popleft().text)

    async def _receive(self, socket: SpeechSocket) -> None:
        while await self._next() is not None:
            piece = await socket.receive(self._client.deadlines.read_seconds)
            segment, playable = self._pending[0], self._playable
            if playable is None:
                raise AssertionError("A segment came before its reply.")
            if isinstance(piece, SpeechChunk):
                segment.is_heard = True
                self._emit(SpeechAudio(self._response_id or "", segment.number, playable.convert(piece.audio)))
            else:
                self._pending.popleft()
                playable.cut()
                self._held = SpeechFinished(self._response_id or "", segment.number, piece.audio_tokens)
                if self._pending or self._finished or not playable.holds_back:
                    self._let_go()

    def _let_go(self) -> None:
        """Tell the end of the segment that was spoken last. It may have waited: the last one's audio has a rest that comes before."""
        ended, self._held = self._held, None
        if ended is None:
            return
        if self._finished and not self._pending and self._playable is not None:
            self._emit(SpeechAudio(ended.response_id, ended.segment, self._playable.finish()))
        self._emit(ended)

    async def _next(self) -> _Segment | None:
        """Wait for a segment that is to be spoken; None when there will be none."""
        while not self._pending:
            if self._finished:
                return None
            self._to_receive.clear()
            try:
                async with asyncio.timeout(None if self._response_id else UNUSED_SECONDS):
                    await self._to_receive.wait()
            except TimeoutError:
                return None
        return self._pending[0]

    async def _give_up(self, error: StreamError) -> None:
        """Tell the reply, as soon as there is one, that it can't be spoken."""
        if await self._next() is not None:
            self._emit(SpeechFailed(self._response_id or "", fault_of(error)))
