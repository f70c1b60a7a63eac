"""One caller: sends a frame every 20 ms, and notes when what comes."""

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import msgspec
from msgspec import Struct

from tests.bench.load.plan import FRAME_MS, Behaviour, Plan, Turn, Wire
from tests.bench.load.tracks import Track
from tests.bench.load.websocket import WebSocket, connect, frame

_REMEMBERED = 2048
_ANSWER_SECONDS = 20.0
_SHORTEST_LISTENING_MS, _LONGEST_LISTENING_MS = 700, 2000
_REPLY = frame(b'{"type":"response.create"}')


class _Response(Struct):
    status: str | None = None


class _Event(Struct):
    type: str
    audio_end_ms: int | None = None
    response: _Response | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class Findings:
    """What all callers have noted."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.bargein_ms: list[float] = []
        self.errors: list[str] = []
        self.unanswered = 0
        self.calls = 0
        self.lost_calls = 0


class Caller:
    """A caller, driven by `step` every 20 ms. `number` spreads callers over time and over the utterances."""

    def __init__(self, plan: Plan, number: int, tracks: tuple[Track, ...], room: Track, findings: Findings) -> None:
        self._plan = plan
        self._number = number
        self._tracks: Iterator[Track] = islice(cycle(tracks), number % len(tracks), None)
        self._room = room.frames
        self._findings = findings
        self._socket: WebSocket | None = None
        self._is_set_up = asyncio.Event()
        self._hung_up = False
        self._begin_call()

    def _begin_call(self) -> None:
        self._sent = 0
        self._sent_at = [0.0] * _REMEMBERED
        self._speaking: tuple[bytes, ...] | None = None
        self._next = 0
        self._quiet_frames = self._first_pause()
        self._turns_left = self._plan.turns_a_call
        self._voice_ended_at: float | None = None
        self._stop_position_ms: int | None = None
        self._was_cut = False
        self._interrupted_at: float | None = None
        self._last_audio_at = 0.0
        self._reply_is_live = False

    async def call(self) -> None:
        """Connect and be ready to speak; raises ConnectionError or TimeoutError if that fails."""
        self._is_set_up.clear()
        socket = await connect(self._plan.url, self._plan.token, self._take)
        self._findings.calls += 1
        if self._plan.wire is Wire.REALTIME:
            async with asyncio.timeout(_ANSWER_SECONDS):
                socket.write(frame(json.dumps({"type": "session.update", "session": {"type": "realtime", **self._plan.session}}).encode()))
                await self._is_set_up.wait()
        self._begin_call()
        self._socket = socket

    async def stay(self) -> None:
        """Call, and call again as often as the plan wants; returns when the caller has hung up for good."""
        while not self._hung_up:
            await self.call()
            socket = self._socket
            assert socket is not None
            code = await socket.closed
            self._socket = None
            if code not in (1000, 1005) and not self._hung_up:
                self._findings.lost_calls += 1
                self._findings.errors.append(f"a call was lost with close code {code}")
            if self._plan.behaviour is not Behaviour.CHURN:
                return

    def hang_up(self) -> None:
        """End the call for good."""
        self._hung_up = True
        if self._socket is not None:
            self._socket.close()

    def ask(self) -> None:
        """Ask for a reply."""
        if self._socket is not None:
            self._socket.write(_REPLY)

    def step(self) -> None:
        """Send the next frame."""
        socket = self._socket
        if socket is None:
            return
        if self._speaking is None and self._quiet_frames <= 0:
            self._begin_to_speak()
        ready = self._room[self._sent % len(self._room)] if self._speaking is None else self._speaking[self._next]
        socket.write(ready)
        now = time.monotonic()
        self._sent_at[self._sent % _REMEMBERED] = now
        self._sent += 1
        if self._speaking is None:
            self._quiet_frames -= 1
            return
        if self._next == 0 and self._reply_is_live:
            self._interrupted_at = now
        self._next += 1
        if self._next == len(self._speaking):
            self._end_to_speak(now)

    def _begin_to_speak(self) -> None:
        if self._voice_ended_at is not None:
            self._findings.unanswered += 1
        if self._plan.behaviour is Behaviour.CHURN and self._turns_left == 0:
            assert self._socket is not None
            self._socket.close()
            self._quiet_frames = 10**9
            return
        self._turns_left -= 1
        self._speaking, self._next = next(self._tracks).frames, 0
        self._voice_ended_at = self._stop_position_ms = None
        self._was_cut = False

    def _end_to_speak(self, now: float) -> None:
        assert self._speaking is not None
        spoken = len(self._speaking)
        self._speaking = None
        self._voice_ended_at = now
        if self._was_cut:
            self._findings.turns.append(Turn(was_cut=True))
            self._voice_ended_at = None
        if self._plan.behaviour is Behaviour.INTERRUPT:
            self._quiet_frames = int(_ANSWER_SECONDS * 1000) // FRAME_MS
        else:
            self._quiet_frames = round(spoken * (1 / self._plan.share - 1))

    def _first_pause(self) -> int:
        """Return how many frames to wait before the first utterance, so that callers don't speak in step."""
        if self._plan.behaviour is Behaviour.LISTEN:
            return 10**9
        return self._number * 37 % 500

    def _take(self, payload: bytes) -> None:
        now = time.monotonic()
        if self._plan.wire is Wire.PCM:
            self._note_cut()
            self._audio(now)
            return
        event = _decode(payload)
        match event.type:
            case "response.output_audio.delta":
                self._audio(now)
            case "input_audio_buffer.speech_stopped":
                self._stop_position_ms = event.audio_end_ms
            case "response.created":
                self._created()
            case "response.done":
                self._done(event.response.status if event.response else None)
            case "session.updated":
                self._is_set_up.set()
            case "error":
                self._findings.errors.append(str(event.error))

    def _created(self) -> None:
        self._reply_is_live = True
        self._note_cut()

    def _note_cut(self) -> None:
        """The server answers: too early if the caller still speaks."""
        if self._speaking is not None and self._next > 0:
            self._was_cut = True

    def _done(self, status: str | None) -> None:
        self._reply_is_live = False
        if self._interrupted_at is not None:
            if status == "cancelled":
                self._findings.bargein_ms.append(max(0.0, self._last_audio_at - self._interrupted_at) * 1000)
            self._interrupted_at = None
        elif status != "completed":
            self._findings.errors.append(f"a reply ended as {status}")

    def _audio(self, now: float) -> None:
        self._last_audio_at = now
        if self._voice_ended_at is None:
            return
        stopped_at = self._sent_time(self._stop_position_ms) if self._stop_position_ms is not None else None
        stop_ms = None if stopped_at is None else (now - stopped_at) * 1000
        self._findings.turns.append(Turn(voice_ms=(now - self._voice_ended_at) * 1000, stop_ms=stop_ms))
        self._voice_ended_at = None
        if self._plan.behaviour is Behaviour.INTERRUPT:
            span = _LONGEST_LISTENING_MS - _SHORTEST_LISTENING_MS
            self._quiet_frames = (_SHORTEST_LISTENING_MS + (self._number * 131 + self._sent * 17) % span) // FRAME_MS

    def _sent_time(self, position_ms: int) -> float | None:
        """Return when the frame that completes this position of the input audio was sent."""
        number = min(self._sent, -(-position_ms // FRAME_MS)) - 1
        return self._sent_at[number % _REMEMBERED] if self._sent - number <= _REMEMBERED else None
