"""Realtime text to speech."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError, error_of_event
from mistral_voice.mistral.stream.json_socket import JsonSocket
from mistral_voice.mistral.stream.steady import Patience
from mistral_voice.mistral.stream.token_count import token_count

PATH = "/v1/audio/speech/realtime"
_WHAT = "The speech"


class SpeechChunk(Struct, frozen=True, gc=False):
    """Audio: float32 little-endian, mono, 24 kHz; any number of bytes."""

    audio: bytes


class SpeechEnd(Struct, frozen=True):
    """A generation is complete, with the audio tokens that it cost."""

    audio_tokens: int


class SpeechSocket:
    """Speaks one text after another, in order. Audio bears no mark of its text; each text's audio ends with a SpeechEnd."""

    def __init__(self, socket: JsonSocket) -> None:
        self._socket = socket

    async def speak(self, text: str) -> None:
        """Speak a text as one generation."""
        await self._socket.send(_encoder.encode(_Append("input_text.append", text)))
        await self._socket.send(b'{"type":"input_text.flush"}')

    async def receive(self, seconds: float | None = None) -> SpeechChunk | SpeechEnd:
        """Return the next audio, or the end of a generation. Raises StreamError, also after `seconds` without either."""
        async with Patience(seconds, _WHAT):
            while True:
                piece = _piece(_decoded(await self._socket.receive()))
                if piece is not None:
                    return piece
        raise AssertionError("Nobody leaves this loop.")


@asynccontextmanager
async def open_speech(client: StreamClient, model: str, voice: str) -> AsyncIterator[SpeechSocket]:
    """Open a socket that speaks with this voice. Raises StreamError if it can't; an unknown voice may be refused only at the first text."""
    async with client.socket(f"{PATH}?model={quote(model, safe='')}", _WHAT) as socket:
        await socket.send(_encoder.encode(_Update("session.update", _Session(voice))))
        yield SpeechSocket(socket)


class _Session(Struct, frozen=True):
    voice: str
    response_format: str = "pcm"
    streaming_mode: str = "responsive"


class _Update(Struct, frozen=True):
    type: str
    session: _Session


class _Append(Struct, frozen=True):
    type: str
    text: str


class _Usage(Struct, frozen=True):
    completion_tokens: int | None = None


class _Error(Struct, frozen=True):
    code: Any = None


class _Event(Struct, frozen=True):
    type: str
    audio_data: bytes = b""
    usage: _Usage | None = None
    error: _Error | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Event)


def _piece(event: _Event) -> SpeechChunk | SpeechEnd | None:
    match event.type:
        case "speech.audio.delta":
            return SpeechChunk(event.audio_data) if event.audio_data else None
        case "speech.audio.done":
            return SpeechEnd(token_count(event.usage.completion_tokens if event.usage else None))
        case "error":
            raise error_of_event(event.error.code if event.error else None, _WHAT)
        case _:
            return None


def _decoded(text: bytes) -> _Event:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise StreamError(FaultKind.GARBLED, f"{_WHAT} failed: Mistral sent something that was not understood.") from None
