"""Ten thousand messages of any kind over real sockets: nothing breaks, nothing is left behind, and the neighbour doesn't notice."""

import asyncio
import contextlib
import gc
import re
from collections import Counter
from pathlib import Path

import aiohttp
import psutil
import pytest

from mistral_voice.gateway.client_limits import ClientLimits
from mistral_voice.gateway.protocol.client_events import decode
from mistral_voice.gateway.session.core import Session
from mistral_voice.gateway.session.errors import Refused
from tests.support.any_event import EVENTS, AnyMessage
from tests.support.gateway import DEADLINE_SECONDS, GatewayHandle, RealtimeClient, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.waiting import eventually

ROUNDS = 10
MESSAGES_A_ROUND = 1000
MESSAGES_A_SESSION = 250
UNHURRIED = ClientLimits(faults_at_once=10**6, responses_at_once=10**6, messages_at_once=10**6, audio_ahead_ms=1e9)
_UNDERSTOOD = "understood"


def messages(number: int) -> list[str]:
    """Return so many messages, each different from all others."""
    source = AnyMessage(seed=20261123)
    drawn: dict[str, None] = {}
    while len(drawn) < number:
        drawn[source.draw()] = None
    return list(drawn)


def what_comes_of(text: str) -> str:
    """Return the kind of event as which a message is understood, or the sentence that refuses it, without names and numbers."""
    try:
        return f"{_UNDERSTOOD}: {type(decode(text.encode())).__name__}"
    except Refused as refused:
        return re.sub(r"`[^`]*`|\d+", "…", refused.message)


def test_the_messages_go_deep() -> None:
    """Else sending them would prove little."""
    count = Counter(map(what_comes_of, messages(ROUNDS * MESSAGES_A_ROUND)))
    understood = {kind: number for kind, number in count.items() if kind.startswith(_UNDERSTOOD)}
    assert sum(understood.values()) > ROUNDS * MESSAGES_A_ROUND * 0.4, count
    assert len(understood) == len(EVENTS) - 1, f"all but output_audio_buffer.clear, which is WebRTC's: {understood}"
    assert max(count.values()) < ROUNDS * MESSAGES_A_ROUND * 0.2, count.most_common(3)
    assert len(count) > 100


async def send_all(gateway: GatewayHandle, texts: list[str]) -> int:
    """Send them in sessions of their own; each session has to answer after the last of its messages. Returns how many were sent."""
    sent = 0
    for start in range(0, len(texts), MESSAGES_A_SESSION):
        async with gateway.connect() as client:
            receiving = asyncio.create_task(client.until("conversation.item.retrieved", "never"))
            for text in texts[start : start + MESSAGES_A_SESSION]:
                await client.socket.send_str(text)
                sent += 1
            mark = {"type": "message", "role": "user", "id": "mark", "content": [{"type": "input_text", "text": "Here."}]}
            await client.send("conversation.item.create", item=mark)
            await client.send("conversation.item.retrieve", item_id="mark")
            async with asyncio.timeout(DEADLINE_SECONDS):
                await receiving
            created, done = (len(client.all(f"response.{name}")) for name in ("created", "done"))
            assert done <= created
    return sent


async def neighbour_talks(client: RealtimeClient) -> None:
    await client.send("response.create")
    assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert not client.all("error")


def sessions_in_memory() -> int:
    gc.collect()
    return sum(isinstance(thing, Session) for thing in gc.get_objects())


@pytest.mark.timeout(600)
async def test_no_message_breaks_anything(mistral: SimulatorHandle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory: list[int] = []
    tasks: list[int] = []
    sent = 0
    texts = messages(ROUNDS * MESSAGES_A_ROUND)
    async with running_gateway(mistral, tmp_path, client_limits=UNHURRIED) as gateway, gateway.connect() as neighbour:
        for number in range(ROUNDS):
            sending = send_all(gateway, texts[number * MESSAGES_A_ROUND : (number + 1) * MESSAGES_A_ROUND])
            sent_now, _ = await asyncio.gather(sending, neighbour_talks(neighbour))
            sent += sent_now
            await eventually(lambda: gateway.lifecycle is not None and gateway.lifecycle.session_count == 1, "the sessions' end")
            neighbour.events.clear()
            mistral.simulator.recorder.clear()
            # The tasks of an ended session end a moment after it.
            await eventually(lambda: not tasks or len(asyncio.all_tasks()) <= tasks[0] + 2, "the sessions' tasks to end")
            tasks.append(len(asyncio.all_tasks()))
            await eventually(lambda: sessions_in_memory() == 1, "nothing but the neighbour's session to be left in memory")
            memory.append(psutil.Process().memory_info().rss)
        assert (await gateway.get("/healthz", metrics=True))[0] == 200
        assert await gateway.metric("sessions_ended_total", reason="error") == 0
    assert sent >= 10_000
    assert "A session broke." not in caplog.text
    settled = ROUNDS // 3
    assert memory[-1] - memory[settled] < 5_000_000, memory


async def test_with_the_usual_limits_such_clients_are_let_go_or_held_up(gateway: GatewayHandle) -> None:
    texts = messages(MESSAGES_A_ROUND)
    async with gateway.connect() as neighbour:
        async with gateway.connect() as client:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                for text in texts:
                    await client.socket.send_str(text)
            assert await client.until_closed() == 1008
        await neighbour_talks(neighbour)
