"""The input audio of one session, on its way from the client to turn detection and to transcription."""

import asyncio
from collections.abc import Callable

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.commands import Detect, FinishTurn, StartTurn
from mistral_voice.gateway.session.inputs import Input, VoiceDismissed, VoiceStarted, VoiceStopped, VoiceSuspected
from mistral_voice.gateway.upstream.tasks import Emit
from mistral_voice.gateway.upstream.transcriber import Transcriber
from mistral_voice.gateway.vad.endpointer import Dismissed, Sign, Started, Stopped, Suspected
from mistral_voice.gateway.vad.engine import VadEngine
from mistral_voice.gateway.vad.level import CallerLevel
from mistral_voice.gateway.vad.stream import Heard, VadStream

KEPT_MS = 600
"""Judged audio that is kept beyond the prefix padding, for turns that begin in it."""
REWIND_MS = 10_000
"""… and while Mistral decides where a turn ends: what comes after that may be the next."""
MOST_BACKLOG_MS = 60_000
"""A client that sends audio so far ahead of detection and transcription has to wait."""


class Hearing:
    """Keeps the newest audio, feeds the detector, and passes a turn's share on to transcription.

    With detection, audio reaches a turn only once it has been judged, so that a turn never holds what belongs to the next.
    Positions in bytes count from where audio of the present format began.
    """

    def __init__(self, engine: VadEngine, transcriber: Transcriber, emit: Emit, broke: Callable[[Exception], None]) -> None:
        self._engine = engine
        self._transcriber = transcriber
        self._emit = emit
        self._broke = broke
        self._format = AudioFormat.PCM
        self._format_since_ms = 0
        self._kept = bytearray()
        self._kept_from = 0
        self._trim_from = 2 * KEPT_MS * self._format.bytes_per_ms
        self._written = 0
        self._passed = 0
        self._judged: int | None = None
        self._padding_ms = 0
        self._turn: str | None = None
        self._may_rewind = False
        self._detector: VadStream | None = None
        self._guarded = False
        self._level = CallerLevel()
        self._room = asyncio.Event()
        self._room.set()

    def detect(self, command: Detect) -> None:
        """Begin to detect by new settings, or stop."""
        if self._detector is not None:
            self._detector.close()
            self._detector = None
        if command.audio_format is not self._format:
            self._change_format(command)
        if command.settings is None:
            self._judged = None
            self._padding_ms = 0
        else:
            self._judged = max(self._bytes_to(command.position_ms), min(self._kept_from, self._written))
            self._padding_ms = command.settings.prefix_padding_ms
            begins_ms = self._format_since_ms + self._judged // self._format.bytes_per_ms
            heard = self._heard_under(command.epoch)
            self._detector = VadStream(
                self._engine, command.settings, begins_ms, heard, self._format, self._level, self._broke, speaking=command.speaking
            )
            self._detector.guard(self._guarded)
            self._detector.watch(self._may_rewind)
            self._judge_again()
        self._pass_on()

    def guard(self, guarded: bool) -> None:
        """The assistant speaks from now on, or no longer: its echo is not to be taken for the caller."""
        self._guarded = guarded
        if self._detector is not None:
            self._detector.guard(guarded)

    def hear(self, audio: bytes) -> None:
        """Take whole samples from the client."""
        self._kept += audio
        self._written += len(audio)
        if self._detector is not None:
            self._detector.feed(audio)  # What it has judged is passed on.
            return
        self._pass_on()
        self._trim()

    def start_turn(self, command: StartTurn) -> None:
        """A turn begins at a position of the input audio."""
        self._turn = command.item_id
        self._passed = max(self._bytes_to(command.from_ms), self._kept_from)
        self._let_rewind(command.end_timeout_ms is not None)
        self._transcriber.start(command.item_id, self._format, command.transcription.language, command.end_timeout_ms)
        self._pass_on()

    def retry_turn(self, item_id: str) -> None:
        """The turn's transcription has stalled: it begins anew."""
        self._transcriber.retry(item_id)

    def finish_turn(self, command: FinishTurn) -> None:
        """The turn ends at a position of the input audio."""
        if self._turn == command.item_id:
            self._pass_up_to(min(self._bytes_to(command.to_ms), self._written))
            self._turn = None
            self._let_rewind(False)
        self._transcriber.finish(command.item_id)

    def drop_turn(self, item_id: str) -> None:
        """Nothing of this turn is wanted."""
        if self._turn == item_id:
            self._turn = None
            self._let_rewind(False)
        self._transcriber.drop(item_id)

    def close(self) -> None:
        """The session has ended."""
        if self._detector is not None:
            self._detector.close()

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the client's audio."""
        return self._format

    @property
    def has_room(self) -> bool:
        """Whether the client's audio is not too far ahead; if it is, `room` waits until it is no more."""
        self._mind_backlog()
        return self._room.is_set()

    async def room(self) -> bool:
        """Wait until the client's audio is not too far ahead; returns whether it was."""
        self._mind_backlog()
        had_to_wait = not self._room.is_set()
        while not self._room.is_set():
            try:
                async with asyncio.timeout(0.1):
                    await self._room.wait()
            except TimeoutError:
                self._mind_backlog()
        return had_to_wait

    def _heard_under(self, epoch: int) -> Heard:
        return lambda event, position_ms: self._heard(event, position_ms, epoch)

    def _heard(self, event: Sign | None, position_ms: int, epoch: int) -> None:
        self._judged = judged = self._bytes_to(position_ms)
        if event is not None:
            self._emit(_told(event, epoch))
        if self._turn is not None:
            self._pass_on()
        if judged - self._kept_from > self._trim_from:
            self._trim()
        if not self._room.is_set():
            self._mind_backlog()

    def _let_rewind(self, may_rewind: bool) -> None:
        """Whether Mistral decides where the turn ends."""
        self._may_rewind = may_rewind
        if self._detector is not None:
            self._detector.watch(may_rewind)

    def _change_format(self, command: Detect) -> None:
        self._format, self._format_since_ms = command.audio_format, command.position_ms
        self._trim_from = 2 * KEPT_MS * self._format.bytes_per_ms
        self._kept.clear()
        self._kept_from = self._written = self._passed = 0

    def _bytes_to(self, position_ms: int) -> int:
        return (position_ms - self._format_since_ms) * self._format.bytes_per_ms

    def _judge_again(self) -> None:
        """Let a new detector hear what came after the place where it is to begin."""
        if self._detector is not None and self._judged is not None and self._judged < self._written:
            self._detector.feed(bytes(self._kept[self._judged - self._kept_from :]))

    def _pass_on(self) -> None:
        self._pass_up_to(self._written if self._judged is None else min(self._judged, self._written))

    def _pass_up_to(self, end: int) -> None:
        if self._turn is None or end <= self._passed:
            return
        self._transcriber.append(self._turn, bytes(self._kept[self._passed - self._kept_from : end - self._kept_from]))
        self._passed = end

    def _trim(self) -> None:
        judged = self._written if self._judged is None else self._judged
        keep_from = judged - ((REWIND_MS if self._may_rewind else KEPT_MS) + self._padding_ms) * self._format.bytes_per_ms
        if self._turn is not None:
            keep_from = min(keep_from, self._passed)
        if keep_from - self._kept_from > KEPT_MS * self._format.bytes_per_ms:
            del self._kept[: keep_from - self._kept_from]
            self._kept_from = keep_from

    def _mind_backlog(self) -> None:
        unjudged = 0 if self._judged is None else self._written - self._judged
        if unjudged / self._format.bytes_per_ms + self._transcriber.unsent_ms > MOST_BACKLOG_MS:
            self._room.clear()
        else:
            self._room.set()


def _told(sign: Sign, epoch: int) -> Input:
    match sign:
        case Suspected():
            return VoiceSuspected(epoch)
        case Dismissed():
            return VoiceDismissed(epoch)
        case Started(at_ms=at_ms):
            return VoiceStarted(at_ms, epoch)
        case Stopped(at_ms=at_ms):
            return VoiceStopped(at_ms, epoch)
