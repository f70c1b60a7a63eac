"""A turn's audio on its way to Mistral, and how often a transcription is tried."""

import asyncio

import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.inputs import Input, TranscriptDelta, TranscriptFailed, TurnEventsMissing
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.gateway.upstream.tasks import ATTEMPTS
from mistral_voice.gateway.upstream.transcriber import KEPT_MS, LARGEST_PIECE_MS, MOST_CHARACTERS, PIECE_MS, Transcriber, TurnAudio
from mistral_voice.mistral.stream.client import Deadlines, StreamClient, open_http
from mistral_voice.mistral.stream.errors import StreamError
from mistral_voice.mistral.stream.transcription import MAX_APPEND_BYTES
from tests.support.simulator import running_simulator
from tests.support.speech import noise
from tests.support.waiting import eventually


async def test_a_turns_audio_goes_out_in_pieces_and_again_if_need_be() -> None:
    audio = TurnAudio()
    for _ in range(5):
        audio.append(b"x" * (PIECE_MS * 48 // 2))
    first = await audio.take()
    assert len(first) == PIECE_MS * 48 * 5 // 2
    audio.append(b"y")
    audio.end()
    assert await audio.take() == b"y"
    assert await audio.take() == b""
    audio.restart()
    again = b""
    while piece := await audio.take():
        again += piece
    assert again == first + b"y"


async def test_a_very_long_turn_is_not_kept() -> None:
    audio = TurnAudio()
    for _ in range(70):
        audio.append(bytes(KEPT_MS * 48 // 60))
        await audio.take()
    assert not audio.can_restart
    assert audio.unsent_ms == 0


async def all_pieces(audio: TurnAudio) -> list[bytes]:
    pieces = []
    while piece := await audio.take():
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("audio_format", AudioFormat)
@pytest.mark.parametrize("chunk_ms", [20_000, 999, 700, 20])
async def test_however_much_comes_at_once_no_piece_is_larger_than_mistral_takes(audio_format: AudioFormat, chunk_ms: int) -> None:
    audio = TurnAudio(audio_format)
    given = b""
    for number in range(20_000 // chunk_ms):
        chunk = bytes([number % 256]) * (chunk_ms * audio_format.bytes_per_ms)
        audio.append(chunk)
        given += chunk
    audio.end()
    pieces = await all_pieces(audio)
    assert max(len(piece) for piece in pieces) <= LARGEST_PIECE_MS * audio_format.bytes_per_ms <= MAX_APPEND_BYTES
    assert b"".join(pieces) == given
    audio.restart()
    assert b"".join(await all_pieces(audio)) == given


class Counted:
    """Counts what is asked of Mistral."""

    def __init__(self) -> None:
        self.requests = 0
        self.limits: list[Limit] = []

    def requested(self, kind: UpstreamKind, model: str = "") -> None:
        self.requests += 1

    def failed(self, kind: UpstreamKind, error: StreamError, model: str = "") -> None:
        assert kind is UpstreamKind.TRANSCRIPTION

    def limit_hit(self, limit: Limit) -> None:
        self.limits.append(limit)

    def speech_socket(self, *, spare: bool) -> None:
        raise AssertionError("Nothing is spoken here.")


def failures(told: list[Input]) -> list[Input]:
    return [event for event in told if isinstance(event, TranscriptFailed)]


async def test_a_transcription_that_fails_with_and_without_turn_events_is_given_up() -> None:
    """Errors alone may mean that Mistral refuses turn events: without them it is tried as often again, and no more."""
    told: list[Input] = []
    counted = Counted()
    async with running_simulator() as mistral, open_http(None) as http, asyncio.TaskGroup() as tasks:
        await mistral.add_fault("error_event", endpoint="transcription_realtime", after_events=2)
        client = StreamClient(http, mistral.base_url, lambda: Secret(mistral.key), Deadlines(60.0, 60.0, 60.0))
        model = "voxtral-mini-transcribe-realtime-latest"
        transcriber = Transcriber(client, model, told.append, tasks.create_task, counted)
        transcriber.start("item_1", AudioFormat.PCM, None, 4000)
        transcriber.append("item_1", bytes(9600))
        transcriber.finish("item_1")
        await eventually(lambda: failures(told) or counted.requests > 2 * ATTEMPTS, "the end of the trying")
        transcriber.drop("item_1")
    assert len(failures(told)) == 1
    assert sum(isinstance(event, TurnEventsMissing) for event in told) == 1
    assert counted.requests == 2 * ATTEMPTS


@pytest.mark.parametrize("is_over", [True, False])
async def test_a_transcript_has_an_end_while_the_caller_speaks_and_after(is_over: bool) -> None:
    told: list[Input] = []
    counted = Counted()
    turn = {"text": " ".join(["word" * 200] * (MOST_CHARACTERS // 800 + 2)), "word_ms": 1, "final_delay_ms": 1}
    script = {"transcription": {"listening": "anything", "turns": [turn]}}
    async with running_simulator(script) as mistral, open_http(None) as http, asyncio.TaskGroup() as tasks:
        client = StreamClient(http, mistral.base_url, lambda: Secret(mistral.key), Deadlines(60.0, 60.0, 60.0))
        transcriber = Transcriber(client, "voxtral-mini-transcribe-realtime-latest", told.append, tasks.create_task, counted)
        transcriber.start("item_1", AudioFormat.PCM, None, None)
        transcriber.append("item_1", noise(2000, -20))
        if is_over:
            transcriber.finish("item_1")
        await eventually(lambda: failures(told), "the transcript's failure")
    assert len(failures(told)) == 1
    assert counted.limits == [Limit.TRANSCRIPT]
    assert counted.requests == 1
    assert sum(len(event.text) for event in told if isinstance(event, TranscriptDelta)) <= MOST_CHARACTERS
