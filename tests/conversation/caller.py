"""A caller with a microphone that never stops and a loudspeaker that plays at the speed of hearing."""

import asyncio
import base64
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.gateway import RealtimeClient
from tests.support.speech import silence

FRAME_MS = 20
FRAME_BYTES = 48 * FRAME_MS
DEADLINE_SECONDS = 45.0
"""Less than the client waits for an event, so that the complaint is about what is awaited."""


@dataclass
class Reply:
    """A reply as the caller gets it: its words, its audio, and how much of it was played."""

    response_id: str
    began_at: float
    item_id: str = ""
    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    status: str = ""
    cut_at_ms: int | None = None

    def played_ms(self, now: float) -> int:
        """How much of it the caller has heard."""
        return min(len(self.audio) // 48, int((now - self.began_at) * 1000))

    @property
    def heard(self) -> bytes:
        """The audio that the caller heard."""
        return bytes(self.audio if self.cut_at_ms is None else self.audio[: 48 * self.cut_at_ms])


class Caller:
    """Speaks and listens at once.

    `transcripts` is what the gateway understood, `kept` what it says was heard of a cut reply.
    """

    def __init__(self, client: RealtimeClient) -> None:
        self.client = client
        self.transcripts: list[str] = []
        self.replies: list[Reply] = []
        self.kept: dict[str, str] = {}
        self._to_say: deque[bytes] = deque()
        self._changed = asyncio.Condition()
        self._clock = asyncio.get_running_loop().time

    def say(self, audio: bytes) -> None:
        """Begin to say something."""
        self._to_say.extend(audio[start : start + FRAME_BYTES] for start in range(0, len(audio), FRAME_BYTES))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the gateway's events bring about."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(
                f"{what} did not come; after {self.client.types[-12:]}, having been understood as {self.transcripts}"
            ) from None

    async def hears(self, milliseconds: int) -> None:
        """Wait until so much of the newest reply has been played."""
        reply = self.replies[-1]
        await self.until(lambda: reply.played_ms(self._clock()) >= milliseconds, f"{milliseconds} ms of a reply")

    async def ask(self, question: bytes) -> None:
        """Say something and wait until a reply is to be heard."""
        known = len(self.replies)
        self.say(question)
        await self.until(lambda: len(self.replies) > known and bool(self.replies[-1].audio), f"reply {known + 1}")

    async def speak_on(self) -> None:
        """Let the microphone run: what is to be said, else silence, frame by frame."""
        began, frames = self._clock(), 0
        while True:
            frame = self._to_say.popleft() if self._to_say else silence(FRAME_MS)
            await self.client.send("input_audio_buffer.append", audio=base64.b64encode(frame).decode())
            frames += 1
            await asyncio.sleep(max(0.0, began + frames * FRAME_MS / 1000 - self._clock()))
            async with self._changed:
                self._changed.notify_all()

    async def listen_on(self) -> None:
        """Take what comes; fall silent when the gateway hears the caller, and tell it how much was heard."""
        while (event := await self.client.receive()) is not None:
            await self._take(event)
            async with self._changed:
                self._changed.notify_all()

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "response.created":
                self.replies.append(Reply(event["response"]["id"], self._clock()))
            case "response.output_audio.delta":
                reply = self.replies[-1]
                if not reply.audio:
                    reply.began_at, reply.item_id = self._clock(), event["item_id"]
                reply.audio += base64.b64decode(event["delta"])
            case "response.output_audio_transcript.done":
                self.replies[-1].text = event["transcript"]
            case "response.done":
                self.replies[-1].status = event["response"]["status"]
            case "conversation.item.input_audio_transcription.completed":
                self.transcripts.append(event["transcript"])
            case "input_audio_buffer.speech_started" if self.replies:
                await self._fall_silent(self.replies[-1])
            case "conversation.item.truncated":
                await self.client.send("conversation.item.retrieve", item_id=event["item_id"])
            case "conversation.item.retrieved":
                self.kept[event["item"]["id"]] = "".join(part.get("transcript") or "" for part in event["item"]["content"])

    async def _fall_silent(self, reply: Reply) -> None:
        played = reply.played_ms(self._clock())
        if reply.item_id and played < len(reply.audio) // 48:
            reply.cut_at_ms = played
            await self.client.send("conversation.item.truncate", item_id=reply.item_id, content_index=0, audio_end_ms=played)
