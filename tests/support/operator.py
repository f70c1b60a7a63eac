"""The operator as a process of its own, for tests against a real API server."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.waiting import WAIT_SECONDS, eventually

_LISTEN = "0A"


@dataclass
class OperatorProcess:
    """A running operator: its process, its log so far, and its side port."""

    process: asyncio.subprocess.Process
    log_path: Path
    _http: aiohttp.ClientSession = field(repr=False)
    _port: int = 0

    @property
    def port(self) -> int:
        """Its side port; 0 until it listens."""
        self._port = self._port or _listening_port(self.process.pid)
        return self._port

    @property
    def log(self) -> str:
        """Everything that it has logged."""
        return self.log_path.read_text()

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log as objects."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    async def get(self, path: str) -> tuple[int, str]:
        """Ask its side port."""
        async with self._http.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def metric(self, start: str) -> float | None:
        """Return the value of the first sample whose line starts with this text."""
        _, text = await self.get("/metrics")
        return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(start)), None)

    async def ready(self) -> bool:
        """Tell whether it is ready; fails if it has ended."""
        assert self.process.returncode is None, f"the operator ended with {self.process.returncode}:\n{self.log[-4000:]}"
        try:
            return self.port > 0 and (await self.get("/readyz"))[0] == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """End it at once, as a lost node would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to stop and return its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), WAIT_SECONDS)


@contextlib.asynccontextmanager
async def running_operator(
    kubeconfig: Path,
    folder: Path,
    *,
    identity: str = "operator-0",
    wait_ready: bool = True,
    lease_namespace: str = "default",
    launcher: Sequence[str] | None = None,
    **settings: Any,
) -> AsyncIterator[OperatorProcess]:
    """Run `mistral-voice operator` with these settings of `operator.yaml` while the context lasts.

    `launcher` is what runs the command line in place of plain Python, such as a profiler.
    """
    config, log = folder / f"{identity}.yaml", folder / f"{identity}.log"
    config.write_text(yaml.safe_dump({"image": "mistral-voice-operator:test", **settings}))
    arguments = ["--config", config, "--kubeconfig", kubeconfig, "--identity", identity, "--port", "0", "--host", "127.0.0.1"]
    run = launcher or (sys.executable, "-m", "mistral_voice.cli.main")
    command = [*run, "operator", *map(str, arguments), "--namespace", lease_namespace]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, env=os.environ)
    async with aiohttp.ClientSession() as http:
        operator = OperatorProcess(process, log, http)
        try:
            if wait_ready:
                await eventually(operator.ready, "the operator to be ready")
            yield operator
        finally:
            if process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await operator.stop()
            if process.returncode is None:
                operator.kill()
                await process.wait()


def _listening_port(pid: int) -> int:
    """Return the only port on which a process listens, as the kernel knows it; 0 if there is none."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            sockets.add(descriptor.readlink().name)
    try:
        table = Path(f"/proc/{pid}/net/tcp").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in table.splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if state == _LISTEN and f"socket:[{inode}]" in sockets:
            return int(local.rpartition(":")[2], 16)
    return 0
