"""Realtime speech to text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pybase64
from msgspec import UNSET, Struct, UnsetType

from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError, error_of_event
from mistral_voice.mistral.stream.json_socket import JsonSocket

PATH = "/v1/audio/transcriptions/realtime"
MAX_APPEND_BYTES = 262_144
"""Largest piece of audio that one append may carry, decoded."""
_WHAT = "The transcription"


class TranscriptionText(Struct, frozen=True):
    """More text of what was said."""

    text: str


class TranscriptionEnd(Struct, frozen=True):
    """The whole text of what was said."""

    text: str


class Encoding(Struct, frozen=True):
    """How the audio is written, in Mistral's words: `pcm_s16le`, `pcm_mulaw`, `pcm_alaw`, at so many samples a second."""

    encoding: str
    sample_rate: int


class TranscriptionSocket:
    """One transcription: audio goes in, text comes out; settings are fixed from the first audio on."""

    def __init__(self, socket: JsonSocket) -> None:
        self._socket = socket

    async def append(self, audio: bytes) -> None:
        """Send mono audio as agreed; at most `MAX_APPEND_BYTES`."""
        await self._socket.send(b'{"type":"input_audio.append","audio":"' + pybase64.b64encode(audio) + b'"}')

    async def end(self) -> None:
        """No more audio comes; the end of the text follows."""
        await self._socket.send(b'{"type":"input_audio.end"}')

    async def receive(self, seconds: float | None = None) -> TranscriptionText | TranscriptionEnd:
        """Return the next piece of text, or its end. Raises StreamError, also after `seconds` without either."""
        while True:
            event = _decoded(await self._socket.receive(seconds))
            match event.type:
                case "transcription.text.delta":
                    return TranscriptionText(event.text)
                case "transcription.done":
                    return TranscriptionEnd(event.text)
                case "error":
                    raise error_of_event(event.error.code if event.error else None, _WHAT)
                case _:
                    continue


@asynccontextmanager
async def open_transcription(
    client: StreamClient, model: str, encoding: Encoding, language: str | None
) -> AsyncIterator[TranscriptionSocket]:
    """Open a transcription of mono audio. Raises StreamError if the upstream refuses it."""
    async with client.socket(f"{PATH}?model={quote(model, safe='')}", _WHAT) as socket:
        session = _Session(encoding, language or UNSET)
        await socket.send(_encoder.encode(_Update("session.update", session)))
        yield TranscriptionSocket(socket)


class _Session(Struct, frozen=True):
    audio_format: Encoding
    language: str | UnsetType


class _Update(Struct, frozen=True):
    type: str
    session: _Session


class _Error(Struct, frozen=True):
    code: Any = None


class _Event(Struct, frozen=True):
    type: str
    text: str = ""
    error: _Error | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Event)


def _decoded(text: bytes) -> _Event:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        raise StreamError(FaultKind.GARBLED, f"{_WHAT} failed: Mistral sent something that was not understood.") from None
