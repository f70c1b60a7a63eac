"""Text to speech over HTTP, streamed: slower to begin than a realtime socket, and as good where none can be had."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from msgspec import Struct

from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.speech import SpeechChunk, SpeechEnd
from mistral_voice.mistral.stream.sse import data_of_events
from mistral_voice.mistral.stream.steady import steady
from mistral_voice.mistral.stream.token_count import token_count

PATH = "/v1/audio/speech"
_WHAT = "The speech"


def stream_speech(client: StreamClient, model: str, voice: str, text: str) -> AsyncGenerator[SpeechChunk | SpeechEnd, None]:
    """Yield the audio of a text; the last is always a SpeechEnd.

    Raises StreamError, also if the stream breaks off in the middle, or brings no audio in time.
    """
    patience = client.deadlines
    return steady(_audio(client, model, voice, text), patience.first_seconds, patience.read_seconds, _WHAT)


async def _audio(client: StreamClient, model: str, voice: str, text: str) -> AsyncGenerator[SpeechChunk | SpeechEnd, None]:
    body = _encoder.encode(_Request(text, model, voice))
    async with client.post(PATH, body, _WHAT) as answer, aclosing(data_of_events(answer)) as events:
        async for data in events:
            event = _decoded(data)
            if event.error is not None or event.object == "error":
                raise StreamError(FaultKind.UNAVAILABLE, f"{_WHAT} failed: Mistral broke it off with an error.")
            if event.type == "speech.audio.done":
                yield SpeechEnd(token_count(event.usage.completion_tokens if event.usage else None))
                return
            if event.audio_data:
                yield SpeechChunk(event.audio_data)
    raise StreamError(FaultKind.DISCONNECTED, f"{_WHAT} failed: Mistral cut it off in the middle.")


class _Request(Struct, frozen=True):
    input: str
    model: str
    voice_id: str
    response_format: str = "pcm"
    stream: bool = True


class _Usage(Struct, frozen=True):
    completion_tokens: int | None = None


class _Event(Struct, frozen=True):
    type: str | None = None
    audio_data: bytes = b""
    usage: _Usage | None = None
    object: str | None = None
    error: msgspec.Raw | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Event)


def _decoded(data: bytes) -> _Event:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise StreamError(FaultKind.GARBLED, f"{_WHAT} failed: Mistral sent something that was not understood.") from None
