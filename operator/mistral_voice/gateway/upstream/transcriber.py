"""Has turns transcribed: one transcription socket for each turn.

The socket is opened when the turn begins, so its handshake passes while the caller speaks, and `input_audio.end` closes the turn: that
alone promises a complete text. A turn's audio is kept until its transcript is complete, to be sent again if the socket breaks or stalls.
Settings are those of the turn's beginning: Mistral locks them with the first audio, so a change comes with the next turn's socket.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.inputs import (
    TranscriptDelta,
    TranscriptDone,
    TranscriptFailed,
    TranscriptRestarted,
    TurnEvent,
    TurnEventsMissing,
)
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.gateway.upstream.tasks import ATTEMPTS, RETRY_SECONDS, Emit, Spawn, UpstreamObserver, alongside, fault_of
from mistral_voice.mistral.stream import turn_events
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.transcription import (
    Encoding,
    TranscriptionSocket,
    TranscriptionText,
    TurnDetectionMissingError,
    open_transcription,
)
from mistral_voice.mistral.stream.turn_events import TurnSign

PIECE_MS = 200
"""Audio goes upstream in pieces of at least so much: each costs a message, its encryption, a system call. A turn's end waits for none."""
WATCHED_PIECE_MS = 50
"""Where Mistral tells turns, it hears sooner that the caller has paused."""
LARGEST_PIECE_MS = 1000
"""A piece holds at most a second, where much has come at once: Mistral refuses what is larger than `MAX_APPEND_BYTES`."""
MOST_CHARACTERS = 50_000
"""Characters of a turn's transcript: nearly an hour of speech."""
KEPT_MS = 60_000
"""A turn longer than a minute is not kept for sending again."""
MOST_SOCKETS = 4
"""Turns of one session that are transcribed at once; the next wait for a socket with their audio."""
ENCODINGS = {AudioFormat.PCM: "pcm_s16le", AudioFormat.PCMU: "pcm_mulaw", AudioFormat.PCMA: "pcm_alaw"}
"""Mistral's names for the formats: the client's audio goes upstream as it came."""


class TranscriptionObserver(UpstreamObserver, Protocol):
    """Counts as well where a transcript had to end."""

    def limit_hit(self, limit: Limit) -> None:
        """A transcript was longer than is taken."""


class Transcriber:
    """The transcription sockets of one session."""

    def __init__(self, client: StreamClient, model: str, emit: Emit, spawn: Spawn, observer: TranscriptionObserver) -> None:
        self._mistral = _Mistral(client, model, emit, observer, asyncio.Semaphore(MOST_SOCKETS))
        self._spawn = spawn
        self._turns: dict[str, _Turn] = {}

    @property
    def unsent_ms(self) -> float:
        """Milliseconds of audio that no socket has taken yet."""
        return sum(turn.audio.unsent_ms for turn in self._turns.values())

    def start(self, item_id: str, audio_format: AudioFormat, language: str | None, end_timeout_ms: int | None) -> None:
        """A turn begins, whose audio has this format. With `end_timeout_ms` Mistral's turn events are wanted."""
        turn = _Turn(item_id, audio_format, language, end_timeout_ms, self._mistral)
        self._turns[item_id] = turn
        turn.task = self._spawn(turn.run())
        turn.task.add_done_callback(lambda _: self._turns.pop(item_id, None))

    def append(self, item_id: str, audio: bytes) -> None:
        """More audio of a turn."""
        turn = self._turns.get(item_id)
        if turn is not None:
            turn.audio.append(audio)

    def finish(self, item_id: str) -> None:
        """A turn's audio is complete."""
        turn = self._turns.get(item_id)
        if turn is not None:
            turn.audio.end()

    def retry(self, item_id: str) -> None:
        """A turn's transcription has stalled."""
        turn = self._turns.get(item_id)
        if turn is not None and turn.audio.can_restart:
            turn.stalled.set()

    def drop(self, item_id: str) -> None:
        """A turn's transcript is no longer wanted."""
        turn = self._turns.get(item_id)
        if turn is not None and turn.task is not None:
            turn.task.cancel()


class TurnAudio:
    """A turn's audio on its way to a socket, in pieces of `piece_ms` to `LARGEST_PIECE_MS`, and kept for another one."""

    def __init__(self, audio_format: AudioFormat = AudioFormat.PCM, piece_ms: int = PIECE_MS) -> None:
        self.audio_format = audio_format
        self._bytes_per_ms = audio_format.bytes_per_ms
        self._piece_bytes = piece_ms * audio_format.bytes_per_ms
        self._largest_bytes = LARGEST_PIECE_MS * audio_format.bytes_per_ms
        self._chunks: deque[bytes] = deque()
        self._next = 0
        self._unsent = 0
        self._kept = 0
        self._ended = False
        self._can_restart = True
        self._changed = asyncio.Event()

    @property
    def unsent_ms(self) -> float:
        """Milliseconds of audio that have not been taken."""
        return self._unsent / self._bytes_per_ms

    @property
    def has_ended(self) -> bool:
        """Whether the turn is complete."""
        return self._ended

    @property
    def can_restart(self) -> bool:
        """Whether all audio is still there."""
        return self._can_restart

    def append(self, audio: bytes) -> None:
        """Add audio: whole samples."""
        for start in range(0, len(audio), self._largest_bytes):
            self._chunks.append(audio[start : start + self._largest_bytes])
        self._unsent += len(audio)
        self._kept += len(audio)
        if self._unsent >= self._piece_bytes:
            self._changed.set()

    def end(self) -> None:
        """No more comes."""
        self._ended = True
        self._changed.set()

    def restart(self) -> None:
        """Give all audio out again, from the beginning."""
        self._next = 0
        self._unsent = self._kept

    async def take(self) -> bytes:
        """Wait for a piece of audio and return it; empty when the turn is complete and all has been taken."""
        while self._unsent < self._piece_bytes and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        piece = bytearray()
        while self._next < len(self._chunks) and len(piece) + len(self._chunks[self._next]) <= self._largest_bytes:
            piece += self._chunks[self._next]
            self._next += 1
        self._unsent -= len(piece)
        self._forget_if_too_long()
        return bytes(piece)

    def _forget_if_too_long(self) -> None:
        if self._kept <= KEPT_MS * self._bytes_per_ms:
            return
        self._can_restart = False
        while self._next > 0:
            self._kept -= len(self._chunks.popleft())
            self._next -= 1


@dataclass
class _Mistral:
    """What the turns of a session share. `tells_turns`: the model has not shown that it has no turn detection."""

    client: StreamClient
    model: str
    emit: Emit
    observer: TranscriptionObserver
    sockets: asyncio.Semaphore
    tells_turns: bool = True


class _StalledError(StreamError):
    """No text comes though the caller speaks."""


class _Turn:
    def __init__(
        self, item_id: str, audio_format: AudioFormat, language: str | None, end_timeout_ms: int | None, mistral: _Mistral
    ) -> None:
        self.audio = TurnAudio(audio_format, PIECE_MS if end_timeout_ms is None else WATCHED_PIECE_MS)
        self.task: asyncio.Task[None] | None = None
        self.stalled = asyncio.Event()
        self._item_id = item_id
        self._language = language
        self._end_timeout_ms = end_timeout_ms
        self._mistral = mistral
        self._emit = mistral.emit
        self._is_over = False
        self._next_began = False
        self._only_errors = False

    async def run(self) -> None:
        """Transcribe the turn."""
        if self._end_timeout_ms is not None and not self._mistral.tells_turns:
            self._do_without_turns()
        failures = 0
        while True:
            try:
                await alongside(self._transcribe(), self._watch())
            except TurnDetectionMissingError:
                self._mistral.tells_turns = False
                self._do_without_turns()
            except StreamError as error:
                self._mistral.observer.failed(UpstreamKind.TRANSCRIPTION, error)
                failures += not isinstance(error, _StalledError)
                if failures >= ATTEMPTS and self._may_be_for_turns(error):
                    failures = 0
                    self._mistral.tells_turns = False
                    self._do_without_turns()
                elif failures >= ATTEMPTS or not self._may_retry(error):
                    self._emit(TranscriptFailed(self._item_id, fault_of(error)))
                    return
                elif failures:
                    await asyncio.sleep(RETRY_SECONDS)
            else:
                return
            self._begin_anew()

    def _may_retry(self, error: StreamError) -> bool:
        return self.audio.can_restart and (error.is_transient or isinstance(error, _StalledError))

    def _may_be_for_turns(self, error: StreamError) -> bool:
        """Whether Mistral may refuse turn events without saying so: all that ever came was an error."""
        return self._end_timeout_ms is not None and self._only_errors and error.is_transient and self.audio.can_restart

    def _begin_anew(self) -> None:
        self._is_over = self._next_began = False
        self.stalled.clear()
        self.audio.restart()
        self._emit(TranscriptRestarted(self._item_id))

    def _do_without_turns(self) -> None:
        self._end_timeout_ms = None
        self._emit(TurnEventsMissing(self._item_id))

    async def _transcribe(self) -> None:
        client, model, audio_format = self._mistral.client, self._mistral.model, self.audio.audio_format
        encoding = Encoding(ENCODINGS[audio_format], audio_format.sample_rate_hz)
        async with self._mistral.sockets:
            self._mistral.observer.requested(UpstreamKind.TRANSCRIPTION)
            async with open_transcription(client, model, encoding, self._language, self._end_timeout_ms) as socket:
                self._only_errors = True
                await alongside(self._receive(socket), self._send(socket))

    async def _watch(self) -> None:
        await self.stalled.wait()
        raise _StalledError(FaultKind.TIMED_OUT, "The transcription failed: Mistral gave no text though the caller spoke.")

    async def _send(self, socket: TranscriptionSocket) -> None:
        while audio := await self.audio.take():
            await socket.append(audio)
        await socket.end()

    async def _receive(self, socket: TranscriptionSocket) -> None:
        characters = 0
        while True:
            piece = await socket.receive()
            self._only_errors = False
            if isinstance(piece, TranscriptionText):
                characters += len(piece.text)
                self._admit(characters)
                if not self._next_began:
                    self._emit(TranscriptDelta(self._item_id, piece.text))
            elif isinstance(piece, turn_events.TurnEvent):
                self._hear_of_turn(piece)
            elif self.audio.has_ended:
                self._admit(len(piece.text))
                self._emit(TranscriptDone(self._item_id, None if self._is_over else piece.text))
                return
            else:
                raise StreamError(FaultKind.DISCONNECTED, "The transcription failed: Mistral ended it while the caller spoke.")

    def _admit(self, characters: int) -> None:
        """No transcript is endless, whatever Mistral hears."""
        if characters > MOST_CHARACTERS:
            self._mistral.observer.limit_hit(Limit.TRANSCRIPT)
            raise StreamError(FaultKind.REJECTED, f"The transcription failed: it has more than {MOST_CHARACTERS} characters.")

    def _hear_of_turn(self, event: turn_events.TurnEvent) -> None:
        """Pass a turn event on. What the socket hears after the turn's end is the next turn's, which has a socket of its own."""
        if self._end_timeout_ms is None or self._next_began:
            return
        if event.sign is TurnSign.START and self._is_over:
            self._next_began = True
            return
        self._is_over = self._is_over or event.sign is TurnSign.END
        self._emit(TurnEvent(self._item_id, event.sign, event.at_ms))
