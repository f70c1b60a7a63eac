"""pipecat and livekit-agents in the gateway's place: the same Mistral, the same callers, their own code for all else.

Each runs as one process at its own highest steady count of callers, at most 20, and is compared by what one caller costs. livekit-agents
has no transport here: its callers are within its process.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.gateway_place import KEY, simulated_mistral
from tests.bench.gateway_steady import SETTLE_SECONDS, percentile, seconds
from tests.bench.line import progress
from tests.bench.load.callers import Callers, calling
from tests.bench.load.plan import Clip, Plan, Report, Wire
from tests.bench.process import usage
from tests.conformance.environment import environment

MOST_CALLERS = 20
FIRST_CALLERS = 3
STEADY_PERCENT = 80.0
"""A process of one thread that takes more of a core than this does not keep up for long."""
STEADY_MS = 2500.0
"""… nor does one whose callers wait longer than this for an answer, at the 95th percentile."""
TRIES = 3
_AGENTS = Path(__file__).parent / "peers"
_START_SECONDS = 60.0


class Peer(StrEnum):
    """Whom the gateway is compared with."""

    PIPECAT = "pipecat"
    LIVEKIT = "livekit"


@dataclass(frozen=True)
class PeerFound:
    """What a peer needed: CPU in percent of a core, memory in megabytes. `voice_ms`: from the end of speech to the first audio, sorted."""

    peer: Peer
    callers: int
    cpu: float
    memory: float
    voice_ms: list[float]
    report: Report

    @property
    def cpu_per_session(self) -> float:
        """Its share of a core for each caller, in percent."""
        return self.cpu / self.callers

    @property
    def is_steady(self) -> bool:
        """Whether it kept up."""
        answered = bool(self.voice_ms) and self.report.unanswered <= len(self.voice_ms) // 20
        return answered and self.cpu <= STEADY_PERCENT and percentile(self.voice_ms, 0.95) <= STEADY_MS


def wanted() -> bool:
    """Tell whether peers are to be measured: `BENCH_PEERS=0`, for development, leaves them out."""
    return os.environ.get("BENCH_PEERS", "1") != "0"


async def highest_steady(peer: Peer, script: dict[str, Any], clips: tuple[Clip, ...], folder: Path) -> PeerFound:
    """Measure a peer with as many callers as it keeps up with."""
    found = await measure_peer(peer, FIRST_CALLERS, script, clips, folder)
    best = found
    count = min(MOST_CALLERS, int(STEADY_PERCENT * 0.9 / max(found.cpu_per_session, 0.1)))
    for _ in range(TRIES):
        if count <= FIRST_CALLERS:
            break
        found = await measure_peer(peer, count, script, clips, folder)
        if found.is_steady:
            return found
        count = count * 2 // 3
    return best


async def measure_peer(
    peer: Peer, callers: int, script: dict[str, Any], clips: tuple[Clip, ...], folder: Path, *, length_seconds: float = 30.0
) -> PeerFound:
    """Let so many callers talk with a peer, and measure for so long once all of them have spoken."""
    heard = {**script, "transcription": {**script["transcription"], "listening": "energy"}}
    async with simulated_mistral(heard, folder, flush_yields_done=True) as mistral:
        environ = {**os.environ, "SSL_CERT_FILE": str(mistral.authority), "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}
        async with _running(peer, mistral.url, environ, Plan(url="", token=None, callers=callers, clips=clips), folder) as (pid, driven):
            await asyncio.sleep(SETTLE_SECONDS)
            await driven.measure()
            before, started = usage(pid).cpu_seconds, time.monotonic()
            await asyncio.sleep(seconds(length_seconds))
            after, took = usage(pid), time.monotonic() - started
            report = await driven.report()
    voice_ms = sorted(turn.voice_ms for turn in report.turns if turn.voice_ms is not None)
    cpu = (after.cpu_seconds - before) / took * 100
    found = PeerFound(peer, callers, cpu, after.resident_megabytes, voice_ms, report)
    waited = f"end of speech to first audio p50 {percentile(voice_ms, 0.5):.0f} ms" if voice_ms else "no answer"
    steady = "" if found.is_steady else "; not steady"
    progress(f"{peer.value}, {callers} callers: CPU {cpu:.1f} %, resident {after.resident_megabytes:.0f} MB, {waited}{steady}")
    return found


@contextlib.asynccontextmanager
async def _running(peer: Peer, url: str, environ: dict[str, str], plan: Plan, folder: Path) -> AsyncIterator[tuple[int, Callers]]:
    python = await asyncio.to_thread(environment().python)
    if peer is Peer.LIVEKIT:
        plan_file = folder / "livekit-plan.json"
        plan_file.write_bytes(msgspec.json.encode(plan))
        async with _process([str(python), str(_AGENTS / "livekit_agent.py"), url, KEY, str(plan_file)], environ) as process:
            driven = Callers(process)
            await driven.line()
            yield process.pid, driven
        return
    async with _process([str(python), str(_AGENTS / "pipecat_agent.py"), url, KEY], environ) as process:
        port = int((await Callers(process).line()).split()[1])
        calls = msgspec.structs.replace(plan, url=f"ws://127.0.0.1:{port}/", wire=Wire.PCM)
        async with calling(calls, folder) as driven:
            yield process.pid, driven


@contextlib.asynccontextmanager
async def _process(command: list[str], environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    errors = None if os.environ.get("BENCH_PEERS") == "loud" else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=errors, env=environ)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
