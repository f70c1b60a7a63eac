"""One question and its reply, over the Realtime protocol."""

import asyncio
import base64
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from mistral_voice.cli.talk_errors import TalkError

CHUNK_BYTES = 960
"""20 ms of audio."""
CHUNK_SECONDS = 0.02
TRAILING_SILENCE_SECONDS = 4.0
"""A microphone goes on after the question; turn detection needs to hear that nothing more is said."""
_DETECTION_SECONDS = 4.0
"""How long a busy gateway may take beyond that to say that it heard somebody speak."""


@dataclass(frozen=True)
class Question:
    """What is asked: audio (PCM16 mono 24 kHz), or text. `push_to_talk`: the client says where the turn ends."""

    audio: bytes = b""
    text: str = ""
    push_to_talk: bool = False


@dataclass
class Timings:
    """Moments of the dialogue, in seconds of a monotonic clock; None if they never came."""

    end_of_speech: float | None = None
    transcript: float | None = None
    first_text: float | None = None
    first_audio: float | None = None
    done: float | None = None

    def since_end_of_speech_ms(self) -> dict[str, int]:
        """Return the milliseconds from the end of the question to each moment that came."""
        start = self.end_of_speech
        if start is None:
            return {}
        moments = {"transcript": self.transcript, "first_text": self.first_text, "first_audio": self.first_audio, "total": self.done}
        return {name: round((at - start) * 1000) for name, at in moments.items() if at is not None}


@dataclass
class Dialogue:
    """What was heard and what was answered. `usage` as the gateway counted it."""

    heard: str = ""
    answer: str = ""
    audio: bytearray = field(default_factory=bytearray)
    timings: Timings = field(default_factory=Timings)
    session_id: str = ""
    model: str = ""
    voice: str = ""
    usage: dict[str, Any] = field(default_factory=dict)

    def begin_reply(self) -> None:
        """A reply begins; what there was of a former one was interrupted."""
        self.answer = ""
        self.audio.clear()
        self.timings.first_text = self.timings.first_audio = None


class _Done(Exception):
    """The reply is complete."""


class Talk:
    """Asks one question on an open socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool], question: Question) -> None:
        self._socket = socket
        self._question = question
        self._dialogue = Dialogue()
        self._speech_heard = asyncio.Event()
        self._speech_ends_bytes = _end_of_sound(question.audio)

    async def run(self, timeout_seconds: float) -> Dialogue:
        """Ask, and return the reply. Raises TalkError if there is none."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._converse()
        except TimeoutError:
            raise TalkError(f"No complete reply came within {timeout_seconds:g} seconds.{self._so_far()}") from None
        return self._dialogue

    async def _converse(self) -> None:
        await self._expect_session()
        failures: list[TalkError] = []
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask())
                both.create_task(self._listen())
        except* _Done:
            self._dialogue.timings.done = time.monotonic()
        except* TalkError as group:
            failures += [error for error in group.exceptions if isinstance(error, TalkError)]
        if failures and self._dialogue.timings.done is None:
            raise failures[0]

    async def _expect_session(self) -> None:
        created = await self._receive()
        if created.get("type") == "error":
            raise TalkError(f"The gateway refused the session: {created['error']['message']}")
        if created.get("type") != "session.created":
            raise TalkError(f"The server did not begin a session but sent {created.get('type')!r}; is this a Realtime endpoint?")
        session = created["session"]
        self._dialogue.session_id = session.get("id", "")
        self._dialogue.model = session.get("model", "")
        self._dialogue.voice = session.get("audio", {}).get("output", {}).get("voice", "")
        self._manual = self._question.push_to_talk or session["audio"]["input"].get("turn_detection") is None
        hearing: dict[str, Any] = {"transcription": {"model": "default"}}
        if self._question.push_to_talk:
            hearing["turn_detection"] = None
        await self._send({"type": "session.update", "session": {"type": "realtime", "audio": {"input": hearing}}})

    async def _ask(self) -> None:
        with contextlib.suppress(ConnectionError):  # why the connection is gone is heard, not said
            await self._ask_while_connected()

    async def _ask_while_connected(self) -> None:
        if self._question.text:
            content = [{"type": "input_text", "text": self._question.text}]
            await self._send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
            self._dialogue.timings.end_of_speech = time.monotonic()
            await self._send({"type": "response.create"})
            return
        await self._speak(self._question.audio)
        if self._manual:
            await self._send({"type": "input_audio_buffer.commit"})
            await self._send({"type": "response.create"})
        else:
            await self._speak(bytes(int(TRAILING_SILENCE_SECONDS * 48_000)))
            await self._expect_detection()

    async def _expect_detection(self) -> None:
        try:
            async with asyncio.timeout(_DETECTION_SECONDS):
                await self._speech_heard.wait()
        except TimeoutError:
            raise TalkError(
                "The gateway heard nobody speak in the question. Listen to the file: is there speech in it, and is it loud enough? "
                "With --push-to-talk it is taken as it is."
            ) from None

    async def _speak(self, audio: bytes) -> None:
        """Stream audio at the speed at which it is spoken."""
        start = time.monotonic()
        timings = self._dialogue.timings
        for number, begin in enumerate(range(0, len(audio), CHUNK_BYTES)):
            chunk = audio[begin : begin + CHUNK_BYTES]
            await self._send({"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()})
            await asyncio.sleep(max(0.0, start + (number + 1) * CHUNK_SECONDS - time.monotonic()))
            if timings.end_of_speech is None and begin + len(chunk) >= self._speech_ends_bytes:
                timings.end_of_speech = time.monotonic()

    async def _listen(self) -> None:
        """Take what comes. Raises _Done with the reply's end."""
        while True:
            self._take(await self._receive())

    def _take(self, event: dict[str, Any]) -> None:
        dialogue, timings = self._dialogue, self._dialogue.timings
        match event.get("type"):
            case "error":
                raise TalkError(f"The gateway reports: {event['error']['message']}")
            case "input_audio_buffer.speech_started":
                self._speech_heard.set()
            case "conversation.item.input_audio_transcription.completed":
                timings.transcript = time.monotonic()
                dialogue.heard = " ".join(text for text in (dialogue.heard, event["transcript"]) if text)
                if not event["transcript"]:
                    raise TalkError("The gateway heard sound but no words; is there speech in the file?")
            case "conversation.item.input_audio_transcription.failed":
                raise TalkError(f"The question could not be transcribed: {event['error']['message']}")
            case "response.created":
                dialogue.begin_reply()
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                timings.first_text = timings.first_text or time.monotonic()
                dialogue.answer += event["delta"]
            case "response.output_audio.delta":
                timings.first_audio = timings.first_audio or time.monotonic()
                dialogue.audio += base64.b64decode(event["delta"])
            case "response.done":
                self._take_end(event["response"])
            case _:
                pass

    def _take_end(self, response: dict[str, Any]) -> None:
        self._dialogue.usage = response.get("usage") or {}
        if self._dialogue.timings.end_of_speech is None or response["status"] == "cancelled":
            return  # the question went on after a pause: the reply to its whole follows
        if response["status"] == "completed":
            raise _Done
        error = (response.get("status_details") or {}).get("error") or {}
        raise TalkError(f"No complete reply ({response['status']}). {error.get('message', 'No reason was given.')}{self._so_far()}")

    async def _receive(self) -> dict[str, Any]:
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            reason = f": {message.extra}" if message.type is aiohttp.WSMsgType.CLOSE and message.extra else "."
            raise TalkError(f"The gateway closed the connection (code {self._socket.close_code}){reason}{self._so_far()}")
        event: dict[str, Any] = msgspec.json.decode(message.data)
        return event

    async def _send(self, event: dict[str, Any]) -> None:
        await self._socket.send_str(msgspec.json.encode(event).decode())

    def _so_far(self) -> str:
        parts = []
        if self._dialogue.heard:
            parts.append(f" It heard: {self._dialogue.heard!r}.")
        if self._dialogue.answer:
            parts.append(f" It said: {self._dialogue.answer!r}.")
        return "".join(parts)


def _end_of_sound(audio: bytes, quiet: int = 500) -> int:
    """Return where sound ends and silence follows, in bytes: the moment from which a person waits."""
    samples = memoryview(audio).cast("h")
    for index in range(len(samples) - 1, -1, -1):
        if abs(samples[index]) > quiet:
            return (index + 1) * 2
    return len(audio)
