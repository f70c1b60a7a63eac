"""Ten thousand messages of any kind over real sockets: nothing breaks, nothing is left behind, and the neighbour doesn't notice."""

import asyncio
import contextlib
import gc
import json
import random
from pathlib import Path

import aiohttp
import hypothesis
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mistral_voice.gateway.client_limits import ClientLimits
from tests.support.any_event import any_message
from tests.support.gateway import DEADLINE_SECONDS, GatewayHandle, RealtimeClient, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.waiting import eventually

ROUNDS = 10
MESSAGES_A_ROUND = 1000
MESSAGES_A_SESSION = 250
DRAWN_A_ROUND = 250
"""What is drawn takes longer to make than to send: of each, there are some variants."""
UNHURRIED = ClientLimits(faults_at_once=10**6, responses_at_once=10**6, messages_at_once=10**6, audio_ahead_ms=1e9)


def messages(number: int, seed: int) -> list[str]:
    """Return so many messages: some drawn, and the others crossed from two of them."""
    drawn: list[str] = []

    @hypothesis.seed(seed)
    @settings(max_examples=DRAWN_A_ROUND, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(any_message())
    def draw(text: str) -> None:
        drawn.append(text)

    draw()
    chance = random.Random(seed)
    crossed = [variant(chance, *chance.sample(drawn, 2)) for _ in range(number - len(drawn))]
    return chance.sample(drawn + crossed, number)


def variant(chance: random.Random, text: str, other: str) -> str:
    """Return a message with some of another's fields, or with a piece of its text where neither is an event."""
    try:
        fields, strange = json.loads(text), json.loads(other)
    except ValueError:
        fields = strange = None
    if isinstance(fields, dict) and isinstance(strange, dict):
        return json.dumps(fields | {name: value for name, value in strange.items() if chance.random() < 0.5})
    cut = chance.randrange(len(text) + 1)
    return text[:cut] + other[cut:]


async def send_all(gateway: GatewayHandle, texts: list[str]) -> None:
    """Send them in sessions of their own; each session has to answer after the last of its messages."""
    for start in range(0, len(texts), MESSAGES_A_SESSION):
        async with gateway.connect() as client:
            receiving = asyncio.create_task(client.until("conversation.item.retrieved", "never"))
            for text in texts[start : start + MESSAGES_A_SESSION]:
                await client.socket.send_str(text)
            mark = {"type": "message", "role": "user", "id": "mark", "content": [{"type": "input_text", "text": "Here."}]}
            await client.send("conversation.item.create", item=mark)
            await client.send("conversation.item.retrieve", item_id="mark")
            async with asyncio.timeout(DEADLINE_SECONDS):
                await receiving
            created, done = (len(client.all(f"response.{name}")) for name in ("created", "done"))
            assert done <= created


async def neighbour_talks(client: RealtimeClient) -> None:
    await client.send("response.create")
    assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert not client.all("error")


@pytest.mark.timeout(600)
async def test_no_message_breaks_anything(mistral: SimulatorHandle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory: list[int] = []
    tasks: list[int] = []
    async with running_gateway(mistral, tmp_path, client_limits=UNHURRIED) as gateway, gateway.connect() as neighbour:
        for number in range(ROUNDS):
            await send_all(gateway, messages(MESSAGES_A_ROUND, seed=number))
            await neighbour_talks(neighbour)
            await eventually(lambda: gateway.lifecycle is not None and gateway.lifecycle.session_count == 1, "the sessions' end")
            neighbour.events.clear()
            mistral.simulator.recorder.clear()
            gc.collect()
            memory.append(psutil.Process().memory_info().rss)
            # The tasks of an ended session end a moment after it.
            await eventually(lambda: not tasks or len(asyncio.all_tasks()) <= tasks[0] + 2, "the sessions' tasks to end")
            tasks.append(len(asyncio.all_tasks()))
        assert (await gateway.get("/healthz", metrics=True))[0] == 200
        assert await gateway.metric("sessions_ended_total", reason="error") == 0
    assert "A session broke." not in caplog.text
    settled = ROUNDS // 3
    assert memory[-1] - memory[settled] < 10_000_000, memory


async def test_with_the_usual_limits_such_clients_are_let_go_or_held_up(gateway: GatewayHandle) -> None:
    texts = messages(MESSAGES_A_ROUND, seed=4711)
    async with gateway.connect() as neighbour:
        async with gateway.connect() as client:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                for text in texts:
                    await client.socket.send_str(text)
            assert await client.until_closed() == 1008
        await neighbour_talks(neighbour)
