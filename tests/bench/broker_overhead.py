"""What a broker costs between a gateway and Mistral, over TLS: delay added to each frame, and CPU for each session.

A session here is a conversation without a pause: four seconds of the caller (ten pieces of audio a second, each answered by a text), four
of the reply (ten pieces of audio a second), and so on. Half the sessions begin with the one, half with the other. The same frames go to the
same upstream directly and through the broker, one after the other in one run.
"""

import asyncio
import contextlib
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pybase64
import uvloop
from aiohttp import WSMsgType, web

from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.mistral.stream import speech, transcription
from tests.api.broker.line import hand
from tests.api.broker.place import Place, managed_place, server_context
from tests.bench.line import at_most, progress
from tests.bench.process import usage
from tests.cluster import api_server
from tests.support.crds import install_crds
from tests.unit.broker.given import HEARING, SPEECH

SESSIONS = 40
EVERY_SECONDS = 0.1
PIECES = 40
"""Pieces of audio of each turn."""
SETTLE_SECONDS = 4.0
MEASURE_SECONDS = 20.0
_APPEND = b'{"type":"input_audio.append","audio":"' + pybase64.b64encode(bytes(4800)) + b'"}'
_UPDATE = b'{"type":"session.update","session":{"audio_format":{"encoding":"pcm_s16le","sample_rate":24000}}}'
_SPOKEN = b'{"type":"speech.audio.delta","audio_data":"' + pybase64.b64encode(bytes(9600)) + b'"}'
_SPEAK = b'{"type":"input_text.append","text":"A clause that is spoken for some seconds."}'
_ANSWER = b'{"type":"transcription.text.delta","text":"word"}'


@dataclass
class Delays:
    """Round trips in milliseconds, from a piece of audio to its answer, while they are wanted."""

    wanted: bool = False
    milliseconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return the value below which this share lies."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextlib.asynccontextmanager
async def _upstream(tls: ssl.SSLContext) -> AsyncIterator[str]:
    """Run an upstream that answers each piece of audio with a text, and each text with a turn of audio."""

    async def hears(request: web.Request) -> web.StreamResponse:
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(compress=False, decode_text=False)
        await socket.prepare(request)
        while (message := await socket.receive()).type is WSMsgType.TEXT:
            if len(message.data) > 200:
                await socket.send_frame(_ANSWER, WSMsgType.TEXT)
        return socket

    async def speaks(request: web.Request) -> web.StreamResponse:
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(compress=False, decode_text=False)
        await socket.prepare(request)
        while (await socket.receive()).type is WSMsgType.TEXT:
            due = asyncio.get_running_loop().time()
            for _ in range(PIECES):
                await socket.send_frame(_SPOKEN, WSMsgType.TEXT)
                due += EVERY_SECONDS
                await asyncio.sleep(due - asyncio.get_running_loop().time())
        return socket

    app = web.Application()
    app.add_routes([web.get(transcription.PATH, hears), web.get(speech.PATH, speaks)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _session(http: aiohttp.ClientSession, url: str, ticket: str, delays: Delays, number: int) -> None:
    """Speak and listen in turn until cancelled."""
    headers = {"Authorization": f"Bearer {ticket}"}
    hearing = f"{url}{transcription.PATH}?model={HEARING}"
    speaking = f"{url}{speech.PATH}?model={SPEECH}"
    async with (
        http.ws_connect(hearing, headers=headers, server_hostname="localhost", decode_text=False) as up,
        http.ws_connect(speaking, headers=headers, server_hostname="localhost", decode_text=False) as down,
    ):
        await up.send_frame(_UPDATE, WSMsgType.TEXT)
        await asyncio.sleep(EVERY_SECONDS * number / SESSIONS)
        if number % 2:
            await _listen_a_turn(down)
        while True:
            await _speak_a_turn(up, delays)
            await _listen_a_turn(down)


async def _speak_a_turn(socket: "aiohttp.ClientWebSocketResponse[bool]", delays: Delays) -> None:
    due = asyncio.get_running_loop().time()
    for _ in range(PIECES):
        sent = time.perf_counter()
        await socket.send_frame(_APPEND, WSMsgType.TEXT)
        await _received(socket)
        if delays.wanted:
            delays.milliseconds.append((time.perf_counter() - sent) * 1000)
        due += EVERY_SECONDS
        await asyncio.sleep(due - asyncio.get_running_loop().time())


async def _listen_a_turn(socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
    await socket.send_frame(_SPEAK, WSMsgType.TEXT)
    for _ in range(PIECES):
        await _received(socket)


async def _received(socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
    if (await socket.receive()).type is not WSMsgType.TEXT:
        raise ConnectionError("A socket was closed.")


async def _measure(http: aiohttp.ClientSession, ways: list[tuple[str, str]], cpu_seconds: Callable[[], float]) -> tuple[Delays, float]:
    """Run sessions over these ways (address and ticket); returns the round trips, and the CPU seconds used meanwhile."""
    delays = Delays()
    tasks = [asyncio.create_task(_session(http, url, ticket, delays, number)) for number, (url, ticket) in enumerate(ways)]
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        delays.wanted, before = True, cpu_seconds()
        await asyncio.sleep(MEASURE_SECONDS)
        delays.wanted = False
        used = cpu_seconds() - before
        broken = [task.exception() for task in tasks if task.done()]
        if broken:
            raise AssertionError(f"Sessions broke: {broken[0]!r}")
        return delays, used
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(place: Place, folder: Path) -> None:
    tenant = await place.tenant()
    token = await place.token(tenant)
    async with (
        _upstream(server_context(folder)) as upstream,
        place.broker_process("broker-0", upstream) as broker,
        hand(f"https://127.0.0.1:{broker.port}", place.ca_file) as reach,
        contextlib.AsyncExitStack() as lines,
    ):
        direct, _ = await _measure(reach.http, [(upstream, "none")] * SESSIONS, lambda: 0.0)
        opened = [await lines.enter_async_context(reach.line(token, f"sess_{number}")) for number in range(SESSIONS)]
        ways = [(f"https://{line.opened.address}", line.opened.ticket) for line in opened]
        through, cpu_seconds = await _measure(reach.http, ways, lambda: usage(broker.process.pid).cpu_seconds)
    for name, delays in (("directly", direct), ("through the broker", through)):
        progress(
            f"{name}: {len(delays.milliseconds)} round trips, p50 {delays.percentile(0.5):.2f}, p99 {delays.percentile(0.99):.2f} ms, "
            f"{SESSIONS} sessions"
        )
    # A round trip passes the broker twice.
    added = (through.percentile(0.99) - direct.percentile(0.99)) / 2
    at_most("broker-overhead-delay", max(0.0, added), "ms a frame at p99", 3.0).print()
    at_most("broker-overhead-cpu", 100 * cpu_seconds / MEASURE_SECONDS / SESSIONS, "% of a core per session", 0.3).print()


async def _bench() -> None:
    with api_server() as cluster, tempfile.TemporaryDirectory() as name:
        install_crds(cluster)
        folder = Path(name)
        async with Client(await load_access(cluster.kubeconfig)) as client, managed_place(cluster, client, folder) as place:
            await _run(place, folder)


def main() -> int:
    """Measure and print the two lines."""
    uvloop.run(_bench())
    return 0


if __name__ == "__main__":
    sys.exit(main())
