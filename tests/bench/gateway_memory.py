"""What the gateway's sessions need of memory: its base, sessions whose callers are silent, and sessions that reply all at once."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.bench.gateway_place import RunningGateway, gateway, simulated_mistral
from tests.bench.gateway_steady import script
from tests.bench.line import progress
from tests.bench.load.callers import calling
from tests.bench.load.clips import make_clips
from tests.bench.load.plan import Behaviour, Command
from tests.bench.process import usage

_WARM_SECONDS = 14.0
_IDLE_SECONDS = 5.0
_REPLY_SECONDS = 6.0
_EVERY_SECONDS = 0.1
_LONG_REPLY = "This is a long answer that goes on and on, sentence after sentence. " * 5


@dataclass(frozen=True)
class Memory:
    """Resident megabytes: of a gateway that has had a conversation and has no session, and of each session beyond it."""

    base: float
    idle: float
    replying: float


async def measure_memory(count: int, folder: Path) -> Memory:
    """Measure with so many sessions."""
    slow = {**script(), "chat": {"replies": [{"text": _LONG_REPLY, "first_token_ms": 150, "token_ms": 5}]}}
    slow["speech"] = {**slow["speech"], "speed": 1.5}
    clips = make_clips(folder)
    async with simulated_mistral(slow, folder) as mistral, gateway(mistral, folder) as server:
        async with calling(server.plan(callers=2, clips=clips), folder):
            await asyncio.sleep(_WARM_SECONDS)
        await asyncio.sleep(1.0)
        base = _resident(server)
        async with calling(server.plan(callers=count, clips=clips, behaviour=Behaviour.LISTEN), folder) as callers:
            await asyncio.sleep(_IDLE_SECONDS)
            idle = _resident(server)
            await callers.tell(Command.REPLY)
            replying = idle
            for _ in range(round(_REPLY_SECONDS / _EVERY_SECONDS)):
                await asyncio.sleep(_EVERY_SECONDS)
                replying = max(replying, _resident(server))
            report = await callers.report()
    progress(f"resident: {base:.0f} MB without sessions, {idle:.0f} MB with {count} silent ones, {replying:.0f} MB while all reply")
    for error in report.errors[:5]:
        progress(f"callers: {error}")
    return Memory(base, (idle - base) / count, (replying - base) / count)


def _resident(server: RunningGateway) -> float:
    return usage(server.pid).resident_megabytes
