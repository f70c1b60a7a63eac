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
from mistral_voice.mistral.stream.steady import Patience
from mistral_voice.mistral.stream.turn_events import TurnEvent, TurnSign

PATH = "/v1/audio/transcriptions/realtime"
MAX_APPEND_BYTES = 262_144
"""Largest piece of audio that one append may carry, decoded."""
LONGEST_SECONDS = 86_400.0
"""No place in a transcription's audio lies further from its beginning."""
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


class TurnDetectionMissingError(StreamError):
    """The model tells no turn events, though they were asked for."""


class TranscriptionSocket:
    """One transcription: audio goes in, text comes out; settings are fixed from the first audio on."""

    def __init__(self, socket: JsonSocket, *, wants_turns: bool) -> None:
        self._socket = socket
        self._wants_turns = wants_turns

    async def append(self, audio: bytes) -> None:
        """Send mono audio as agreed; at most `MAX_APPEND_BYTES`."""
        await self._socket.send(b'{"type":"input_audio.append","audio":"' + pybase64.b64encode(audio) + b'"}')

    async def end(self) -> None:
        """No more audio comes; the end of the text follows."""
        await self._socket.send(b'{"type":"input_audio.end"}')

    async def receive(self, seconds: float | None = None) -> TranscriptionText | TranscriptionEnd | TurnEvent:
        """Return the next piece of text, its end, or what is told of turns.

        Raises StreamError, also after `seconds` without any of it; TurnDetectionMissingError if the model refuses to tell turns.
        """
        async with Patience(seconds, _WHAT):
            while True:
                piece = self._piece(_decoded(await self._socket.receive()))
                if piece is not None:
                    return piece
        raise AssertionError("Nobody leaves this loop.")

    def _piece(self, event: "_Event") -> TranscriptionText | TranscriptionEnd | TurnEvent | None:
        match event.type:
            case "transcription.text.delta":
                return TranscriptionText(event.text) if event.text else None
            case "transcription.done":
                return TranscriptionEnd(event.text)
            case TurnSign.START | TurnSign.EAGER_END | TurnSign.RESUME | TurnSign.END:
                return TurnEvent(TurnSign(event.type), 1000 * min(max(0.0, event.time_s), LONGEST_SECONDS))
            case "session.updated":
                self._check_turns(event.session)
            case "error":
                raise self._error(event.error or _Error())
        return None

    def _check_turns(self, session: "_SessionInForce | None") -> None:
        if self._wants_turns and session is not None and session.turn_detection is None:
            raise _without_turn_detection()

    def _error(self, error: "_Error") -> StreamError:
        if self._wants_turns and "turn_detection" in str(error.message):
            return _without_turn_detection()
        return error_of_event(error.code, _WHAT)


@asynccontextmanager
async def open_transcription(
    client: StreamClient, model: str, encoding: Encoding, language: str | None, end_timeout_ms: int | None = None
) -> AsyncIterator[TranscriptionSocket]:
    """Open a transcription of mono audio. With `end_timeout_ms` turns are told too. Raises StreamError if the upstream refuses it."""
    async with client.socket(f"{PATH}?model={quote(model, safe='')}", _WHAT) as socket:
        session = _Session(encoding, language or UNSET, _turn_detection(end_timeout_ms))
        await socket.send(_encoder.encode(_Update("session.update", session)))
        yield TranscriptionSocket(socket, wants_turns=end_timeout_ms is not None)


class _TurnDetection(Struct, frozen=True):
    end_timeout_ms: int


class _Session(Struct, frozen=True):
    audio_format: Encoding
    language: str | UnsetType
    turn_detection: _TurnDetection | UnsetType


class _Update(Struct, frozen=True):
    type: str
    session: _Session


class _Error(Struct, frozen=True):
    code: Any = None
    message: Any = None


class _SessionInForce(Struct, frozen=True):
    turn_detection: Any = UNSET


class _Event(Struct, frozen=True):
    type: str
    text: str = ""
    time_s: float = 0.0
    error: _Error | None = None
    session: _SessionInForce | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Event)


def _decoded(text: bytes) -> _Event:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise StreamError(FaultKind.GARBLED, f"{_WHAT} failed: Mistral sent something that was not understood.") from None


def _turn_detection(end_timeout_ms: int | None) -> _TurnDetection | UnsetType:
    return UNSET if end_timeout_ms is None else _TurnDetection(end_timeout_ms)


def _without_turn_detection() -> TurnDetectionMissingError:
    return TurnDetectionMissingError(FaultKind.REJECTED, f"{_WHAT} failed: the model tells no turns.")
