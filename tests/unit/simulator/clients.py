"""Small clients of the wire, and the audio that they send."""

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

TRANSCRIPTION_MODEL = "voxtral-mini-transcribe-realtime-latest"
SPEECH_MODEL = "voxtral-mini-tts-latest"
CHAT_MODEL = "mistral-medium-latest"
RATE = 16_000


def voice(duration_ms: int, rate: int = RATE) -> bytes:
    """Something loud, as 16-bit PCM."""
    times = np.arange(duration_ms * rate // 1000) / rate
    return (np.sin(2 * np.pi * 300 * times) * 12_000).astype("<i2").tobytes()


def silence(duration_ms: int, rate: int = RATE) -> bytes:
    return bytes(duration_ms * rate // 1000 * 2)


def append(audio: bytes) -> dict[str, str]:
    return {"type": "input_audio.append", "audio": base64.b64encode(audio).decode()}


@dataclass
class Socket:
    """A realtime socket: what came so far, and how it closed."""

    websocket: aiohttp.ClientWebSocketResponse
    events: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, *messages: Mapping[str, Any]) -> None:
        for message in messages:
            await self.websocket.send_json(message)

    async def speak(self, audio: bytes, chunk_ms: int = 20, rate: int = RATE) -> None:
        """Send 16-bit audio in chunks."""
        size = chunk_ms * rate // 1000 * 2
        for start in range(0, len(audio), size):
            await self.send(append(audio[start : start + size]))

    async def event(self) -> dict[str, Any]:
        """The next event; fails if the socket closes instead."""
        message = await self.websocket.receive(timeout=60)
        assert message.type is aiohttp.WSMsgType.TEXT, f"closed with {self.websocket.close_code} after {self.types}"
        event: dict[str, Any] = message.json()
        self.events.append(event)
        return event

    async def until(self, event_type: str) -> dict[str, Any]:
        """Events up to the next of this type, which is returned."""
        while (event := await self.event())["type"] != event_type:
            pass
        return event

    async def rest(self) -> list[dict[str, Any]]:
        """All events until the socket closes."""
        rest = []
        while (message := await self.websocket.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
            rest.append(message.json())
        self.events += rest
        return rest

    async def closed(self) -> tuple[int | None, str]:
        """Code and reason of the close, once it came."""
        while (message := await self.websocket.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
            self.events.append(message.json())
        return self.websocket.close_code, message.extra or ""

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def text(self) -> str:
        return "".join(event["text"] for event in self.events if event["type"] == "transcription.text.delta")

    @property
    def audio(self) -> NDArray[np.float32]:
        data = b"".join(base64.b64decode(event["audio_data"]) for event in self.events if event["type"] == "speech.audio.delta")
        return np.frombuffer(data, "<f4")


@contextlib.asynccontextmanager
async def transcription(
    http: aiohttp.ClientSession, session: Mapping[str, Any] | None = None, model: str = TRANSCRIPTION_MODEL, **options: Any
) -> AsyncIterator[Socket]:
    """A transcription socket, with its settings made; the events of the handshake are not in `events`."""
    async with http.ws_connect(f"/v1/audio/transcriptions/realtime?model={model}", **options) as websocket:
        socket = Socket(websocket)
        if session is not None:
            await socket.until("session.created")
            await socket.send({"type": "session.update", "session": session})
            await socket.until("session.updated")
            socket.events.clear()
        yield socket


@contextlib.asynccontextmanager
async def speech(http: aiohttp.ClientSession, model: str = SPEECH_MODEL, **options: Any) -> AsyncIterator[Socket]:
    """A speech socket."""
    async with http.ws_connect(f"/v1/audio/speech/realtime?model={model}", **options) as websocket:
        yield Socket(websocket)


def chat(*messages: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": CHAT_MODEL, "messages": list(messages), **options}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


async def sse(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str | None, str]]:
    """The server-sent events of an answer: name and data."""
    name, data = None, []
    async for raw in response.content:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data.append(line[6:])
        elif not line and data:
            yield name, "\n".join(data)
            name, data = None, []


def content(chunks: Sequence[dict[str, Any]]) -> str:
    """The text of a streamed reply, thinking left out."""
    texts = []
    for chunk in chunks:
        piece = chunk["choices"][0]["delta"].get("content") or ""
        texts.append(piece if isinstance(piece, str) else "".join(part.get("text", "") for part in piece))
    return "".join(texts)
