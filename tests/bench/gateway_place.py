"""Where a benchmark of the gateway takes place: the scripted simulator over TLS and the gateway, each a process of its own."""

import asyncio
import contextlib
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from mistral_voice.contract.gateway_config import encode
from tests.bench.line import progress
from tests.bench.load.plan import Plan
from tests.support.gateway import TOKEN, GatewayFiles, gateway_config

KEY = "simulated-mistral-key-0001"
MODEL = "mistral-medium-latest"
VOICE = "voice_478"
MAX_SESSIONS = 1000
_MODULE = ("-m", "mistral_voice.cli.main")
_START_SECONDS = 30.0
_END_SECONDS = 20.0


@dataclass(frozen=True)
class Mistral:
    """The simulator: where it listens, its process, and the file with its certificate authority."""

    port: int
    pid: int
    authority: Path

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"https://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class RunningGateway:
    """The gateway: its ports and its process."""

    port: int
    pid: int

    def plan(self, **changes: Any) -> Plan:
        """Return a plan of calls to it."""
        return Plan(url=f"ws://127.0.0.1:{self.port}/v1/realtime", token=TOKEN, **changes)


@contextlib.asynccontextmanager
async def simulated_mistral(script: dict[str, Any], folder: Path, **dialect: Any) -> AsyncIterator[Mistral]:
    """Run the simulator, with this script and dialect, over TLS."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    bundle, chain, key, script_file = (folder / name for name in ("authority.pem", "chain.pem", "key.pem", "script.json"))
    authority.cert_pem.write_to_path(str(bundle))
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(key))
    script_file.write_text(json.dumps(script))
    flags = ["--host", "127.0.0.1", "--port", "0", "--keys", f"test={KEY}", "--script", str(script_file), "--dialect", json.dumps(dialect)]
    command = [sys.executable, *_MODULE, "simulator", *flags, "--tls-cert", str(chain), "--tls-key", str(key)]
    async with _running(command, "simulator") as (listening, pid):
        yield Mistral(listening["port"], pid, bundle)


@contextlib.asynccontextmanager
async def gateway(mistral: Mistral, folder: Path, flags: Sequence[str] = (), **changes: Any) -> AsyncIterator[RunningGateway]:
    """Run the gateway against it. `BENCH_LAUNCHER="python -m cProfile -o FILE"` profiles it. `changes` as in `gateway_config`."""
    files = GatewayFiles(folder)
    files.write(KEY)
    settings = {"max_sessions": MAX_SESSIONS, "max_seconds": 3600, "ca_bundle_file": str(mistral.authority), "drain_seconds": 1, **changes}
    files.config.write_text(encode(gateway_config(mistral.url, files, **settings)))
    profiler = os.environ.get("BENCH_LAUNCHER")
    launcher = shlex.split(profiler) if profiler else [sys.executable]
    ports = ["--host", "127.0.0.1", "--client-port", "0", "--metrics-port", "0", "--drain-accept-seconds", "0"]
    command = [*launcher, *_MODULE, "gateway", "--config", str(files.config), *ports, *flags]
    async with _running(command, "gateway") as (listening, pid):
        yield RunningGateway(listening["port"], pid)


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], name: str) -> AsyncIterator[tuple[dict[str, Any], int]]:
    """Run a process that logs `listening` when it does; yields what it logged then, and its process id. Its warnings are passed on."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=_environment())
    listening: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(_read(process, name, listening))
    try:
        async with asyncio.timeout(_START_SECONDS):
            ports = await listening
        yield ports, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await reading


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


async def _read(process: asyncio.subprocess.Process, name: str, listening: "asyncio.Future[dict[str, Any]]") -> None:
    assert process.stderr is not None
    shown = 0
    async for raw in process.stderr:
        line = raw.decode(errors="replace").rstrip()
        if not listening.done() and '"listening"' in line:
            listening.set_result(json.loads(line))
        elif '"level": "info"' not in line and shown < 20:
            shown += 1
            progress(f"{name}: {line[:400]}")
    if not listening.done():
        listening.set_exception(RuntimeError(f"The {name} did not start."))
