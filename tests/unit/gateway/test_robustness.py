"""One session's misfortune is no other's, and no message breaks a session."""

import json
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mistral_voice.gateway.client_limits import ClientLimits
from mistral_voice.gateway.connection import Connection
from mistral_voice.gateway.protocol.client_events import decode
from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.core import Session
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.outbox import Output
from mistral_voice.gateway.upstream.speech_sockets import SpeechSockets
from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech
from tests.support.waiting import eventually

TYPES = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
    "output_audio_buffer.clear",
    "nonsense",
]
NAMES = [
    *(
        "session",
        "type",
        "audio",
        "input",
        "output",
        "format",
        "voice",
        "turn_detection",
        "threshold",
        "item",
        "role",
        "content",
        "text",
        "id",
    ),
    *(
        "item_id",
        "content_index",
        "audio_end_ms",
        "response",
        "instructions",
        "output_modalities",
        "metadata",
        "max_output_tokens",
        "tools",
    ),
    *("transcription", "language", "model", "previous_item_id", "event_id", "conversation", "silence_duration_ms", "response_id", "rate"),
]
LEAVES = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        5000,
        10**30,
        0.5,
        -1e308,
        "",
        "audio",
        "text",
        "realtime",
        "message",
        "user",
        "server_vad",
        "AAAA",
        "x" * 3000,
    ),
    *("audio/pcm", "root", "ü\u0000", "inf", "alloy", "gpt-realtime", "input_text", "auto"),
]


def anything(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth > 4 or kind < 0.4:
        return chance.choice(LEAVES)
    if kind < 0.5:
        return [anything(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): anything(chance, depth + 1) for _ in range(chance.randrange(6))}


def any_event(chance: random.Random) -> str:
    event = {chance.choice(NAMES): anything(chance) for _ in range(chance.randrange(5))}
    text = json.dumps({**event, "type": chance.choice(TYPES)})
    if chance.random() < 0.05:
        cut = chance.randrange(len(text))
        text = text[:cut] + chance.choice(["", "}", '"', "\\u", "[" * 500]) + text[cut + 1 :]
    return text


def test_a_message_is_either_understood_or_refused() -> None:
    chance = random.Random(20261122)
    understood = 0
    sentences = set()
    for _ in range(10_000):
        try:
            assert isinstance(decode(any_event(chance).encode()), inputs.ClientInput)
        except Refused as refused:
            sentences.add(refused.message)
        else:
            understood += 1
    assert all(sentence.endswith((".", "?", "`")) for sentence in sentences)
    assert understood > 500


async def test_a_session_survives_any_sequence_of_messages(mistral: SimulatorHandle, tmp_path: Path) -> None:
    chance = random.Random(20261123)
    limits = ClientLimits(faults_at_once=10_000, responses_at_once=10_000, messages_at_once=10_000)
    async with (
        running_gateway(mistral, tmp_path, client_limits=limits) as gateway,
        gateway.connect() as client,
        gateway.connect() as neighbour,
    ):
        for number in range(1_500):
            await client.socket.send_str(any_event(chance))
            if number % 100 == 0:
                await client.send("conversation.item.retrieve", item_id=f"mark-{number}")
                await has_come(client, f"mark-{number}")
        await neighbour.send("response.create")
        assert (await neighbour.until("response.done"))["response"]["status"] == "completed"
        created, done = (len(client.all(f"response.{name}")) for name in ("created", "done"))
        assert created - done in (0, 1)


async def has_come(client: Any, mark: str) -> None:
    while mark not in str((await client.until("error"))["error"]["message"]):
        pass


@pytest.mark.parametrize("mishandled", [inputs.ClearAudio, inputs.VoiceStarted, inputs.TranscriptDelta])
async def test_an_error_of_ours_ends_its_session_alone(
    mistral: SimulatorHandle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mishandled: type[inputs.Input],
) -> None:
    """Be the input the client's, that of the detection which all sessions share, or Mistral's."""
    handle = Session.handle

    def stumbling(session: Session, event: inputs.Input, now_ms: float) -> list[Output]:
        if isinstance(event, mishandled):
            raise ZeroDivisionError("A mistake in our code.")
        return handle(session, event, now_ms)

    monkeypatch.setattr(Session, "handle", stumbling)
    async with running_gateway(mistral, tmp_path) as gateway, gateway.connect() as client, gateway.connect() as neighbour:
        if mishandled is inputs.ClearAudio:
            await client.send("input_audio_buffer.clear")
        else:
            await client.say(speech("What time is it now?") + silence(1000))
        assert await client.until_closed() == aiohttp.WSCloseCode.INTERNAL_ERROR
        await neighbour.send("response.create")
        assert (await neighbour.until("response.done"))["response"]["status"] == "completed"
        assert (await gateway.get("/healthz", metrics=True))[0] == 200

        async def it_is_counted() -> bool:
            return await gateway.metric("sessions_ended_total", reason="error") == 1

        await eventually(it_is_counted, "the count of the session's end")
    assert "A mistake in our code." in caplog.text


async def test_a_gateway_that_cannot_keep_spare_speech_sockets_is_alive(
    mistral: SimulatorHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SpeechSockets, "_look_after", lambda _: 1 / 0)
    async with running_gateway(mistral, tmp_path, speech_spares=4) as gateway, gateway.connect() as client:
        await eventually(lambda: "spares broke" in caplog.text, "the pool to break")
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert (await gateway.get("/healthz", metrics=True))[0] == 200


async def test_what_still_comes_of_a_session_that_is_over_is_ignored(gateway: GatewayHandle) -> None:
    """The detector judges many callers at once: an error in what it tells one of them would be everybody's."""
    lifecycle = gateway.lifecycle
    assert lifecycle is not None
    async with gateway.connect():
        (connection,) = lifecycle.sessions
        assert isinstance(connection, Connection)
    await eventually(lambda: lifecycle.session_count == 0, "the session to be over")
    connection.take(inputs.VoiceStarted(0, 1))
    connection.take(inputs.Tick())
