"""No caller ever hears another's audio, nor what was left of a reply that was cancelled: each reply is a tone of its own."""

import asyncio
import base64
import random
from pathlib import Path

import numpy as np
import pytest

from mistral_voice.simulator.scripted.tone import LOWEST_HZ, STEP_HZ, dominant_hz
from tests.support.gateway import GatewayHandle, RealtimeClient, running_gateway
from tests.support.simulator import SimulatorHandle

CALLERS = 16
ROUNDS = 5
WINDOW = 2_400
"""Samples of 100 ms: tones 50 Hz apart are told apart in them."""


def tone_of(caller: int, turn: int) -> int:
    return LOWEST_HZ + STEP_HZ * (caller * ROUNDS + turn)


def script(**speech: int) -> dict[str, object]:
    """Each reply repeats its question, so that each clause names its tone; speech comes four times faster than it plays."""
    return {
        "chat": {"replies": [{"text": "{user}", "token_ms": 1}]},
        "speech": {"ms_per_character": 15, "chunk_ms": 100, "speed": 4, "first_audio_ms": 20, **speech},
    }


async def ask(client: RealtimeClient, hz: int, *, cancel: bool, chance: random.Random) -> None:
    """Ask for a reply in one tone, and perhaps cancel it in the middle; whatever is heard of it must be that tone."""
    begins = len(client.events)
    text = f"This is all of it tone {hz}, and again it is tone {hz}. Then there is tone {hz} once more. It ends with tone {hz} too."
    item_id = f"question{hz}"
    item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await client.send("conversation.item.create", item=item)
    await client.send("response.create")
    if cancel:
        for _ in range(chance.randint(0, 2)):
            await client.until("response.output_audio.delta", "response.done")
        await client.send("response.cancel")
    done = (await client.until("response.done"))["response"]
    assert done["status"] in (("cancelled", "completed") if cancel else ("completed",)), done
    await client.send("conversation.item.delete", item_id=item_id)
    heard = [event for event in client.events[begins:] if event["type"] == "response.output_audio.delta"]
    assert {event["response_id"] for event in heard} <= {done["id"]}
    samples = np.frombuffer(b"".join(base64.b64decode(event["delta"]) for event in heard), "<i2").astype(np.float32) / np.float32(32768)
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        assert dominant_hz(samples[start : start + WINDOW], 24_000) == hz
    assert cancel or len(samples) / 24 > 0.9 * 15 * len(text), "the reply was not heard to its end"


async def call(gateway: GatewayHandle, caller: int) -> None:
    chance = random.Random(caller)
    async with gateway.connect() as client:
        for turn in range(ROUNDS):
            await ask(client, tone_of(caller, turn), cancel=chance.random() < 0.5, chance=chance)


@pytest.mark.parametrize("late_ms", [0, 300])
async def test_many_callers_who_cancel_hear_their_own_replies_alone(mistral: SimulatorHandle, tmp_path: Path, late_ms: int) -> None:
    """Also with a Mistral that sends more of a text after saying that it was done: each reply has its socket to itself."""
    await mistral.put_script(script(late_ms=late_ms))
    async with running_gateway(mistral, tmp_path, speech_spares=8) as gateway:
        async with asyncio.TaskGroup() as calls:
            for caller in range(CALLERS):
                calls.create_task(call(gateway, caller))
        assert await gateway.metric("speech_sockets_total", source="spare") > CALLERS
    asked_for = [
        {word for text in _texts(record) for word in text.split("tone ")[1:]}
        for record in await mistral.requests(endpoint="speech_realtime")
    ]
    assert any(asked_for)
    assert all(len({word[:4].strip(" .,") for word in tones}) <= 1 for tones in asked_for), "a socket spoke for two replies"


def _texts(record: dict[str, object]) -> list[str]:
    messages = record["messages"]
    assert isinstance(messages, list)
    return [message["body"]["text"] for message in messages if message["body"].get("type") == "input_text.append"]
