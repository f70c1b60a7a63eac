"""The callers' process, from outside."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.bench.load.plan import Command, Plan, Report

_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Callers:
    """A running process of callers, all of them connected."""

    process: asyncio.subprocess.Process

    async def tell(self, command: Command) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command.value}\n".encode())
        await self.process.stdin.drain()

    async def measure(self) -> None:
        """Forget what was measured so far; returns when that is done."""
        await self.tell(Command.MEASURE)
        await self.line()

    async def report(self) -> Report:
        """Return what was measured."""
        await self.tell(Command.REPORT)
        return msgspec.json.decode(await self.line(), type=Report)

    async def line(self) -> bytes:
        """Return the next line that the process prints. Raises RuntimeError if it has ended."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("The callers' process ended; standard error says why.")
        return line


@contextlib.asynccontextmanager
async def calling(plan: Plan, folder: Path) -> AsyncIterator[Callers]:
    """Let the plan's callers call while the context lasts; they are all connected when it begins."""
    path = folder / "plan.json"
    path.write_bytes(msgspec.json.encode(plan))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.load",
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    callers = Callers(process)
    try:
        await callers.line()
        yield callers
        await callers.tell(Command.END)
        async with asyncio.timeout(15.0):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
