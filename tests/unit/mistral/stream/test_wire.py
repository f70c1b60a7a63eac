"""Mistral's streams, read and written: whatever way the bytes are cut, and against the simulator."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.stream.chat import CallDelta, CallReader, ChatCallPiece, ChatEnd, ChatText, stream_chat
from mistral_voice.mistral.stream.chat_request import ChatMessage, ChatRequest
from mistral_voice.mistral.stream.client import Deadlines, StreamClient, open_http
from mistral_voice.mistral.stream.errors import FaultKind, StreamError, error_of_event, error_of_status
from mistral_voice.mistral.stream.speech import SpeechChunk, SpeechEnd, SpeechSocket, open_speech
from mistral_voice.mistral.stream.speech_http import stream_speech
from mistral_voice.mistral.stream.sse import MAX_LINE_BYTES, data_of_events
from mistral_voice.mistral.stream.transcription import (
    Encoding,
    TranscriptionEnd,
    TranscriptionSocket,
    TranscriptionText,
    open_transcription,
)
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.speech import noise

REQUEST = ChatRequest("mistral-medium-latest", (ChatMessage("user", "Say something."),), "cache-1", max_tokens=50)


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as simulator:
        yield simulator


@pytest.fixture
async def client(mistral: SimulatorHandle) -> AsyncIterator[StreamClient]:
    async with open_http(None) as http:
        yield StreamClient(http, mistral.base_url, lambda: Secret(mistral.key), Deadlines(2.0, 0.5, 2.0))


class _Body:
    """A body that comes in the given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def read(pieces: list[bytes]) -> list[bytes]:
    return [data async for data in data_of_events(_Body(pieces))]  # type: ignore[arg-type]


@given(cuts=st.lists(st.integers(0, 90), max_size=8), newline=st.sampled_from([b"\n", b"\r\n"]))
async def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int], newline: bytes) -> None:
    whole = newline.join([b": hello", b"data: one", b"", b"event: x", b"data:two", b"data: three", b"", b"", b"data: [DONE]", b"", b""])
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges)]
    assert await read(pieces) == [b"one", b"two\nthree", b"[DONE]"]


async def test_the_last_event_needs_no_blank_line() -> None:
    assert await read([b"data: one\n\ndata: two"]) == [b"one", b"two"]


async def test_a_line_without_end_is_no_answer() -> None:
    with pytest.raises(StreamError) as error:
        await read([b"data: ", b"x" * MAX_LINE_BYTES])
    assert error.value.kind is FaultKind.GARBLED


async def test_lines_without_an_event_are_no_answer() -> None:
    with pytest.raises(StreamError) as error:
        await read([b"data: " + b"x" * 1000 + b"\n"] * (MAX_LINE_BYTES // 1000 + 2))
    assert error.value.kind is FaultKind.GARBLED


async def test_empty_lines_of_data_without_an_event_are_no_answer() -> None:
    with pytest.raises(StreamError) as error:
        await read([b"data:\n" * 1000] * (MAX_LINE_BYTES // 5000 + 2))
    assert error.value.kind is FaultKind.GARBLED


async def test_a_completion_streams_its_text_and_ends_with_its_usage(client: StreamClient, mistral: SimulatorHandle) -> None:
    await mistral.put_script({"chat": {"replies": [{"text": "Hello to you.", "thinking": "Hm.", "content_as_list": True}]}})
    async with aclosing(stream_chat(client, REQUEST)) as answer:
        pieces = [piece async for piece in answer]
    end = pieces.pop()
    assert "".join(piece.text for piece in pieces if isinstance(piece, ChatText)) == "Hello to you."
    assert isinstance(end, ChatEnd)
    assert end.finish_reason == "stop"
    assert end.usage is not None
    assert end.usage.prompt_tokens > 0
    body = (await mistral.requests(endpoint="chat"))[0]["body"]
    assert (body["max_tokens"], body["prompt_cache_key"], body["reasoning_effort"]) == (50, "cache-1", "none")


async def test_a_completion_that_is_cut_off_never_looks_complete(client: StreamClient, mistral: SimulatorHandle) -> None:
    await mistral.add_fault("cut", endpoint="chat", after_events=3)
    with pytest.raises(StreamError) as error:
        async with aclosing(stream_chat(client, REQUEST)) as answer:
            assert [piece async for piece in answer]
    assert error.value.kind is FaultKind.DISCONNECTED


async def test_a_transcription_gives_text_and_its_end(client: StreamClient) -> None:
    async with open_transcription(client, "voxtral-mini-transcribe-realtime-latest", Encoding("pcm_s16le", 24_000), "en") as socket:
        await socket.append(noise(1000, -20))
        await socket.end()
        text = ""
        while isinstance(piece := await socket.receive(5), TranscriptionText):
            text += piece.text
    assert isinstance(piece, TranscriptionEnd)
    assert piece.text == text.strip() == "Hello simulator."


async def test_texts_are_spoken_one_after_another(client: StreamClient) -> None:
    async with open_speech(client, "voxtral-mini-tts-latest", "voice_478") as socket:
        await socket.speak("One.")
        await socket.speak("Two, longer.")
        lengths = [0]
        while len(lengths) < 3:
            piece = await socket.receive(5)
            if isinstance(piece, SpeechChunk):
                lengths[-1] += len(piece.audio)
            else:
                assert isinstance(piece, SpeechEnd)
                assert piece.audio_tokens > 0
                lengths.append(0)
    assert lengths[0] == pytest.approx(4 * 0.06 * 24_000 * 4, rel=0.1)
    assert lengths[1] > lengths[0]


async def say_hello(client: StreamClient, model: str, voice: str) -> None:
    async with open_speech(client, model, voice) as socket:
        await socket.speak("Hello.")
        await socket.receive(2)


@pytest.mark.parametrize(
    ("model", "voice", "kind", "words"),
    [
        ("nothing-known", "voice_478", FaultKind.REJECTED, "doesn't know the model"),
        ("voxtral-mini-tts-latest", "nobody", FaultKind.REJECTED, "Voice 'nobody' not found."),
    ],
)
async def test_a_refusal_on_a_socket_says_what_is_wrong(client: StreamClient, model: str, voice: str, kind: FaultKind, words: str) -> None:
    with pytest.raises(StreamError) as error:
        await say_hello(client, model, voice)
    assert error.value.kind is kind
    assert words in error.value.message


async def test_a_refusal_that_repeats_the_key_is_passed_on_without_it(client: StreamClient, mistral: SimulatorHandle) -> None:
    with pytest.raises(StreamError) as error:
        await say_hello(client, "voxtral-mini-tts-latest", mistral.key)
    assert error.value.message.endswith("It says: Voice '[redacted]' not found.")


@pytest.mark.parametrize(("code", "shown"), [(3804, " (code 3804)"), (-1, ""), (10**4000, ""), ("sk-1", ""), (None, "")])
def test_of_an_unknown_error_its_code_is_shown_if_it_is_one(code: int | str | None, shown: str) -> None:
    assert error_of_event(code, "The speech").message == f"The speech failed: Mistral reported an error{shown}."


async def test_waiting_has_an_end(client: StreamClient, mistral: SimulatorHandle) -> None:
    await mistral.add_fault("hang", endpoint="chat")
    with pytest.raises(StreamError) as error:
        async with aclosing(stream_chat(client, REQUEST)) as answer:
            await anext(answer)
    assert error.value.kind is FaultKind.TIMED_OUT
    async with open_speech(client, "voxtral-mini-tts-latest", "voice_478") as socket:
        with pytest.raises(StreamError) as error:
            await socket.receive(0.05)
    assert error.value.kind is FaultKind.TIMED_OUT


async def all_of(pieces: AsyncGenerator[Any, None]) -> list[Any]:
    async with asyncio.timeout(10), aclosing(pieces):
        return [piece async for piece in pieces]


async def all_received(socket: SpeechSocket | TranscriptionSocket) -> AsyncGenerator[Any, None]:
    while True:
        yield await socket.receive(0.3)


async def test_what_says_nothing_does_not_prolong_the_waiting(client: StreamClient, mistral: SimulatorHandle) -> None:
    await mistral.add_fault("stall", after_events=3, keep_alive_ms=20)
    encoding = Encoding("pcm_s16le", 24_000)
    async with (
        open_speech(client, "voxtral-mini-tts-latest", "voice_478") as speech,
        open_transcription(client, "voxtral-mini-transcribe-realtime-latest", encoding, "en") as transcription,
    ):
        await speech.speak("Hello.")
        await transcription.append(noise(1000, -20))
        for pieces in (
            stream_chat(client, REQUEST),
            stream_speech(client, "voxtral-mini-tts-latest", "voice_478", "Hello."),
            all_received(speech),
            all_received(transcription),
        ):
            with pytest.raises(StreamError) as error:
                await all_of(pieces)
            assert error.value.kind is FaultKind.TIMED_OUT


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (400, FaultKind.REJECTED, False),
        (401, FaultKind.UNAUTHORIZED, False),
        (403, FaultKind.FORBIDDEN, False),
        (404, FaultKind.REJECTED, False),
        (422, FaultKind.REJECTED, False),
        (429, FaultKind.RATE_LIMITED, False),
        (500, FaultKind.UNAVAILABLE, True),
        (503, FaultKind.UNAVAILABLE, True),
    ],
)
def test_what_a_status_means(status: int, kind: FaultKind, transient: bool) -> None:
    error = error_of_status(status, "The reply")
    assert (error.kind, error.is_transient) == (kind, transient)
    assert error.message.startswith("The reply failed: ")
    assert error.message.endswith(".")
    assert error_of_event(status, "The reply").kind is kind


def test_mistrals_own_codes_pass() -> None:
    assert error_of_event(3804, "The transcription").is_transient
    assert error_of_event(None, "The transcription").is_transient
    assert not error_of_event(1500, "The transcription").is_transient


async def test_calls_are_told_apart_and_their_arguments_joined(client: StreamClient, mistral: SimulatorHandle) -> None:
    calls = [{"name": "weather", "pieces": ['{"city":', ' "Paris"}']}, {"name": "clock", "arguments": "{}"}]
    await mistral.put_script({"chat": {"replies": [{"text": "Wait.", "tool_calls": calls}]}})
    async with aclosing(stream_chat(client, REQUEST)) as answer:
        pieces = [piece async for piece in answer]
    assert [piece for piece in pieces if isinstance(piece, ChatCallPiece)] == [
        ChatCallPiece(0, "weather", '{"city":'),
        ChatCallPiece(0, "", ' "Paris"}'),
        ChatCallPiece(1, "clock", "{}"),
    ]
    assert isinstance(pieces[-1], ChatEnd)
    assert pieces[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("deltas", "pieces"),
    [
        ('{"id":"a","function":{"name":"f","arguments":{"x":1}}}', [(0, "f", '{"x":1}')]),
        (
            '{"id":"a","index":0,"function":{"name":"f","arguments":"{}"}},{"id":"b","index":0,"function":{"name":"g","arguments":"{}"}}',
            [(0, "f", "{}"), (1, "g", "{}")],
        ),
        ('{"index":1,"function":{"name":"f","arguments":"{"}},{"index":1,"function":{"arguments":"}"}}', [(0, "f", "{"), (0, "", "}")]),
        ('{"id":"null","function":{"name":"f"}}', [(0, "f", "")]),
    ],
    ids=["arguments as an object", "one index for all", "no ids", "no arguments"],
)
def test_calls_are_read_however_they_are_numbered(deltas: str, pieces: list[tuple[int, str, str]]) -> None:
    read_pieces = CallReader()
    chunk = msgspec.json.decode(f"[{deltas}]", type=list[CallDelta])
    assert [read_pieces.piece(delta) for delta in chunk] == [ChatCallPiece(*piece) for piece in pieces]
