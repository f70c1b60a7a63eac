"""livekit-agents as a voice agent on Mistral: its own Mistral plugin and Silero, one `AgentSession` for each caller, one process.

`python livekit_agent.py MISTRAL_URL KEY PLAN`, and the commands of `tests.bench.load` on standard input. There is no transport: frames go
into a session and come out of it within the process, and nothing is encoded. A real call costs more than this.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soxr
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import mistralai, silero
from mistralai.client import Mistral

RATE_HZ = 16_000
FRAME_MS = 20
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000
SILENCE_SECONDS = 0.25
WAIT_SECONDS = 0.25
"""Both make 500 ms of silence. livekit-agents drops a reply if the last words come after the turn's end, and advises a longer wait."""
ROOM_DBFS = -65.0
_ROOM_FRAMES = 100
_FIRST_PAUSE_FRAMES = 500


class Findings:
    """What was measured, in milliseconds from the last voiced frame to the first audio of the reply."""

    def __init__(self) -> None:
        self.voice_ms: list[float] = []
        self.unanswered = 0
        self.cuts = 0


class Microphone(AudioInput):
    """The caller: utterances, each followed by a pause, in frames of 20 ms."""

    def __init__(self, number: int, plan: dict[str, Any], clips: list[list[bytes]], room: list[bytes], findings: Findings) -> None:
        super().__init__(label="caller")
        self._frames = self._script(number, plan["share"], clips, room)
        self._findings = findings
        self._started = time.monotonic()
        self._sent = 0
        self.voice_ended_at: float | None = None
        self.speaks = False
        self.was_cut = False

    def __aiter__(self) -> AsyncIterator[rtc.AudioFrame]:
        return self

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next frame when it is due."""
        wait = self._started + self._sent * FRAME_MS / 1000 - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._sent += 1
        return rtc.AudioFrame(next(self._frames), RATE_HZ, 1, FRAME_SAMPLES)

    def _script(self, number: int, share: float, clips: list[list[bytes]], room: list[bytes]) -> Any:
        for position in range(number * 37 % _FIRST_PAUSE_FRAMES):
            yield room[position % len(room)]
        turn = number
        while True:
            clip = clips[turn % len(clips)]
            turn += 1
            if self.voice_ended_at is not None:
                self._findings.unanswered += 1
            self.speaks, self.was_cut, self.voice_ended_at = True, False, None
            yield from clip
            self.speaks = False
            if self.was_cut:
                self._findings.cuts += 1
            else:
                self.voice_ended_at = time.monotonic()
            for position in range(round(len(clip) * (1 / share - 1))):
                yield room[position % len(room)]


class Loudspeaker(AudioOutput):
    """Takes the reply as a device does that plays it in real time."""

    def __init__(self, microphone: Microphone, findings: Findings) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=24_000)
        self._microphone = microphone
        self._findings = findings
        self._pushed = 0.0
        self._began = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a frame after those before it."""
        await super().capture_frame(frame)
        now = time.monotonic()
        if self._microphone.speaks:
            self._microphone.was_cut = True
        if self._microphone.voice_ended_at is not None:
            self._findings.voice_ms.append((now - self._microphone.voice_ended_at) * 1000)
            self._microphone.voice_ended_at = None
        if not self._pushed:
            self._began = now
            self.on_playback_started(created_at=time.time())
        self._pushed += frame.duration

    def flush(self) -> None:
        """The segment ends here."""
        super().flush()
        if self._pushed:
            left = max(0.0, self._began + self._pushed - time.monotonic())
            self._end = asyncio.get_running_loop().call_later(left, self._finish, self._pushed, False)

    def clear_buffer(self) -> None:
        """Be silent at once."""
        if self._pushed:
            if self._end is not None:
                self._end.cancel()
            self._finish(min(self._pushed, time.monotonic() - self._began), True)

    def _finish(self, position: float, interrupted: bool) -> None:
        self._pushed, self._end = 0.0, None
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


def pieces(audio: bytes) -> list[bytes]:
    """Return PCM16 at 24 kHz as frames of 20 ms at 16 kHz."""
    samples = soxr.resample(np.frombuffer(audio, "<i2"), 24_000, RATE_HZ).astype("<i2").tobytes()
    size = FRAME_SAMPLES * 2
    return [samples[start : start + size].ljust(size, b"\0") for start in range(0, len(samples), size)]


def quiet_room() -> list[bytes]:
    """Return frames of a quiet room."""
    samples = np.random.default_rng(7).standard_normal(FRAME_SAMPLES * _ROOM_FRAMES) * 10 ** (ROOM_DBFS / 20)
    audio = (samples * 32767).astype("<i2").tobytes()
    return [audio[start : start + FRAME_SAMPLES * 2] for start in range(0, len(audio), FRAME_SAMPLES * 2)]


async def main(url: str, key: str, plan: dict[str, Any], clips: list[list[bytes]]) -> None:
    """Let the plan's callers talk until told to end."""
    room, findings = quiet_room(), Findings()
    client = Mistral(api_key=key, server_url=url, async_client=httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30))
    vad = silero.VAD.load(min_silence_duration=SILENCE_SECONDS)
    sessions = []
    for number in range(plan["callers"]):
        session: AgentSession[None] = AgentSession(
            stt=mistralai.STT(client=client, model="voxtral-mini-transcribe-realtime-3-0", vad=vad),
            llm=mistralai.LLM(client=client, model="mistral-medium-latest", api_mode="chat_completions"),
            tts=mistralai.TTS(client=client, model="voxtral-mini-tts-3-0", voice="voice_478", response_format="pcm"),
            vad=None,
            turn_handling={
                "turn_detection": "stt",
                "endpointing": {"min_delay": WAIT_SECONDS},
                "preemptive_generation": {"enabled": False},
            },
            user_away_timeout=None,
            aec_warmup_duration=None,
        )
        microphone = Microphone(number, plan, clips, room, findings)
        session.input.audio = microphone
        session.output.audio = Loudspeaker(microphone, findings)
        await session.start(Agent(instructions="You are a voice assistant."), record=False)
        sessions.append(session)
    tell("connected")
    await obey(findings)
    os._exit(0)


async def obey(findings: Findings) -> None:
    """Read commands until the end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        match line.decode().strip():
            case "measure":
                vars(findings).update(vars(Findings()))
                tell("measuring")
            case "report":
                turns = [{"voice_ms": value} for value in findings.voice_ms] + [{"was_cut": True}] * findings.cuts
                nothing = {"bargein_ms": [], "errors": [], "calls": 0, "lost_calls": 0, "late_ms": 0.0, "cpu_percent": 0.0}
                tell(json.dumps({"turns": turns, "unanswered": findings.unanswered, **nothing}))
            case "end":
                return


def tell(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    told = json.loads(Path(sys.argv[3]).read_text())
    asyncio.run(main(sys.argv[1], sys.argv[2], told, [pieces(Path(clip["path"]).read_bytes()) for clip in told["clips"]]))
