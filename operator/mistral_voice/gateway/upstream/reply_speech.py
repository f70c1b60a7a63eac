"""One reply being spoken: its segments in order, over one socket, or over HTTP where no socket can be had."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.inputs import SpeechAudio, SpeechFailed, SpeechFinished
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.gateway.upstream.speech_sockets import Lease, SpeechSockets
from mistral_voice.gateway.upstream.tasks import ATTEMPTS, RETRY_SECONDS, Emit, UpstreamObserver, alongside, fault_of
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.speech import SpeechChunk, SpeechEnd
from mistral_voice.mistral.stream.speech_http import stream_speech

if TYPE_CHECKING:
    from mistral_voice.gateway.audio.playable import Playable

UNUSED_SECONDS = 15.0
"""A socket that was asked for ahead and found no reply to speak is let go after so long."""


class _Segment:
    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.is_heard = False
        self.attempts = 1


class ReplySpeech:
    """Speaks one reply. A segment of which audio has come is never spoken again; if its speech breaks off, the reply can't be spoken on.

    A segment of which none has come is asked for once more if the trouble may pass, and over HTTP if no socket is to be had.
    """

    def __init__(self, sockets: SpeechSockets, voice: str, emit: Emit, observer: UpstreamObserver) -> None:
        self.voice = voice
        self._sockets = sockets
        self._emit = emit
        self._observer = observer
        self._response_id: str | None = None
        self._playable: Playable | None = None
        self._ended: SpeechFinished | None = None
        self._pending: deque[_Segment] = deque()
        self._unsent: deque[_Segment] = deque()
        self._finished = False
        self._to_send = asyncio.Event()
        self._to_receive = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._openings = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be spoken."""
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
        self._tell_end()
        self._pending.append(segment)
        self._unsent.append(segment)
        self._to_send.set()
        self._to_receive.set()

    def finish(self) -> None:
        """No more segments come."""
        self._finished = True
        if not self._pending:
            self._tell_end()
        self._to_receive.set()

    def stop(self) -> None:
        """Nothing more is wanted."""
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Speak until the last segment is spoken, or it can't be."""
        try:
            if self._sockets.are_avoided:
                await self._speak_over_http(None)
            else:
                await self._speak_over_sockets()
        except StreamError as error:
            if await self._next() is not None:
                self._emit(SpeechFailed(self._response_id or "", fault_of(error)))

    async def _speak_over_sockets(self) -> None:
        fresh = False
        while True:
            lease: Lease | None = None
            try:
                async with self._sockets.lease(self.voice, fresh=fresh) as lease:
                    await alongside(self._receive(lease), self._send(lease))
                    return
            except StreamError as error:
                self._observer.failed(UpstreamKind.SPEECH, error)
                if self._is_cut_in_the_middle:
                    raise
                if not await self._may_try_again(error, lease):
                    if not self._may_do_without_socket(error, lease):
                        raise
                    await self._speak_over_http(error)
                    return
            fresh = True
            self._unsent = deque(self._pending)
            self._to_send.set()

    async def _may_try_again(self, error: StreamError, lease: Lease | None) -> bool:
        """Whether a new socket is worth a try, now: at once if a spare was found dead, after a pause for what may pass."""
        if lease is not None and lease.was_spare and not lease.has_answered:
            return True
        if not error.is_transient or not self._count_attempt():
            return False
        await asyncio.sleep(RETRY_SECONDS)
        return True

    def _count_attempt(self) -> bool:
        if not self._pending:
            self._openings += 1
            return self._openings < ATTEMPTS
        self._pending[0].attempts += 1
        return self._pending[0].attempts <= ATTEMPTS

    def _may_do_without_socket(self, error: StreamError, lease: Lease | None) -> bool:
        """A socket that opened, and then fell silent or broke, is no sign that there are none."""
        return self._sockets.may_do_without(error) and (lease is None or (error.kind is FaultKind.REJECTED and not lease.has_answered))

    async def _send(self, lease: Lease) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._unsent:
                await lease.speak(self._unsent.popleft().text)

    async def _receive(self, lease: Lease) -> None:
        while await self._next() is not None:
            self._take(await lease.receive(self._sockets.client.deadlines.read_seconds))

    async def _speak_over_http(self, cause: StreamError | None) -> None:
        """Speak what is left over HTTP. `cause` is why there was no socket: it is what the client hears if HTTP is no help."""
        client, model = self._sockets.client, self._sockets.model
        while (segment := await self._next()) is not None:
            self._observer.requested(UpstreamKind.SPEECH)
            try:
                async with aclosing(stream_speech(client, model, self.voice, segment.text)) as pieces:
                    async for piece in pieces:
                        self._take(piece)
            except StreamError as error:
                self._observer.failed(UpstreamKind.SPEECH, error)
                if self._is_cut_in_the_middle or not error.is_transient or not self._count_attempt():
                    raise (cause or error) from None
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._sockets.had_over_http()
                cause = None

    @property
    def _is_cut_in_the_middle(self) -> bool:
        return bool(self._pending) and self._pending[0].is_heard

    def _take(self, piece: SpeechChunk | SpeechEnd) -> None:
        segment, playable = self._pending[0], self._playable
        if playable is None:
            raise AssertionError("A segment came before its reply.")
        if isinstance(piece, SpeechChunk):
            segment.is_heard = True
            self._tell_audio(segment.number, playable.convert(piece.audio))
            return
        self._pending.popleft()
        playable.cut()
        self._ended = SpeechFinished(self._response_id or "", segment.number, piece.audio_tokens)
        if self._pending or self._finished or not playable.holds_back:
            self._tell_end()

    def _tell_end(self) -> None:
        """Tell the end of the segment that was spoken last. If it is the reply's last, what was held back of its audio comes first."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        if self._finished and not self._pending and self._playable is not None:
            self._tell_audio(ended.segment, self._playable.finish())
        self._emit(ended)

    def _tell_audio(self, segment: int, audio: bytes) -> None:
        if audio:
            self._emit(SpeechAudio(self._response_id or "", segment, audio))

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
