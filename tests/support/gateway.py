"""A session gateway for tests, in-process or as a process of its own, and a client that checks every event it gets."""

import asyncio
import base64
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

from mistral_voice.contract.gateway_config import GatewayConfig, Integration, Limits, Policy, SessionDefaults, Upstream, encode
from mistral_voice.gateway import main as gateway_main
from mistral_voice.gateway.client_limits import ClientLimits
from mistral_voice.gateway.lifecycle import Lifecycle
from mistral_voice.gateway.settings import Settings
from mistral_voice.gateway.upstream.speech_sockets import SpeechTransport
from mistral_voice.mistral.stream.client import Deadlines
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.redaction import Redactor
from tests.support.simulator import SimulatorHandle
from tests.support.wire_events import checked

TOKEN = "client-token-0001"
DEADLINE_SECONDS = 60.0
"""Generous: a machine may be busy with other tests."""


@dataclass
class GatewayFiles:
    """What the operator and kubelet put into a gateway's pod."""

    directory: Path

    @property
    def credential(self) -> Path:
        """The Mistral key."""
        return self.directory / "credential" / "apiKey"

    @property
    def tokens(self) -> Path:
        """The clients' tokens."""
        return self.directory / "client-token"

    @property
    def config(self) -> Path:
        """gateway.json."""
        return self.directory / "gateway.json"

    def write(self, key: str, token: str = TOKEN) -> None:
        """Write key and token."""
        self.credential.parent.mkdir(parents=True, exist_ok=True)
        self.tokens.mkdir(parents=True, exist_ok=True)
        replace_file(self.credential, key)
        replace_file(self.tokens / "token", token)


def replace_file(path: Path, content: str) -> None:
    """Replace a file as kubelet does: the new one appears whole, under a new inode."""
    fresh = path.with_name(f"..{path.name}.new")
    fresh.write_text(content)
    fresh.rename(path)


def gateway_config(mistral_url: str, files: GatewayFiles, **changes: Any) -> GatewayConfig:
    """Return a configuration.

    Changes: model, voice, turn_detection, max_seconds, max_sessions, drain_seconds, max_message_bytes, node_grace_seconds,
    policy, ca_bundle_file, tls_directory, tracing_endpoint, mode, namespace.
    """
    return GatewayConfig(
        integration=Integration(changes.get("namespace", "shop"), "hello", changes.get("mode", "byok")),
        upstream=Upstream(mistral_url, str(files.credential), changes.get("ca_bundle_file")),
        session=SessionDefaults(
            changes.get("model", "mistral-medium-latest"),
            changes.get("voice", "voice_478"),
            changes.get("turn_detection", "server_vad"),
            changes.get("max_seconds", 600),
        ),
        limits=Limits(
            changes.get("max_sessions", 50),
            changes.get("drain_seconds", 60),
            changes.get("max_message_bytes", ClientLimits().message_bytes),
            changes.get("node_grace_seconds"),
        ),
        client_token_directory=str(files.tokens),
        policy=changes.get("policy", Policy()),
        tls_directory=changes.get("tls_directory"),
        tracing_endpoint=changes.get("tracing_endpoint"),
    )


@dataclass
class GatewayHandle:
    """A running gateway."""

    base_url: str
    metrics_url: str
    files: GatewayFiles
    lifecycle: Lifecycle | None = None
    process: asyncio.subprocess.Process | None = None
    token: str = TOKEN
    log_lines: list[str] = field(default_factory=list)
    is_attentive: bool = False
    """Whether clients read all that comes at once, so that they lose no session while the test waits for something else."""

    @property
    def websocket_url(self) -> str:
        """The Realtime endpoint."""
        return "ws" + self.base_url.removeprefix("http") + "/v1/realtime"

    @contextlib.asynccontextmanager
    async def connect(self, token: str | None = None, **options: Any) -> AsyncIterator["RealtimeClient"]:
        """Connect a client and receive its `session.created`. `model` or a whole `query`, and `ssl`, may be given."""
        query = options.get("query", f"model={options['model']}" if "model" in options else "")
        url = f"{self.websocket_url}?{query}"
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(url, headers=headers, ssl=options.get("ssl", True), max_msg_size=32 * 1024 * 1024) as socket,
            contextlib.AsyncExitStack() as reading,
        ):
            client = RealtimeClient(socket)
            if self.is_attentive:
                client.socket = attentive = Attentive(socket)
                await reading.enter_async_context(attentive.reading())
            client.session = (await client.until("session.created"))["session"]
            yield client

    async def get(self, path: str, *, metrics: bool = False, **options: Any) -> tuple[int, str]:
        """Ask one of the two ports; returns status and text."""
        async with aiohttp.ClientSession() as http, http.get((self.metrics_url if metrics else self.base_url) + path, **options) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """Return the value of one of the gateway's series, without its prefix; 0 if there is none."""
        _, text = await self.get("/metrics", metrics=True)
        for line in text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == f"mistral_voice_gateway_{name}" and all(
                f'{key}="{wanted}"' in series for key, wanted in labels.items()
            ):
                return float(value)
        return 0.0


class Attentive:
    """A client's socket from which all is read at once: pings are answered though the test waits for something else."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def close_code(self) -> int | None:
        """Why it was closed."""
        return self._socket.close_code

    async def send_str(self, text: str) -> None:
        """Send a message."""
        await self._socket.send_str(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()

    async def receive(self) -> Any:
        """Return what came next."""
        return await self._arrived.get()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read while the context lasts."""
        task = asyncio.create_task(self._read())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            self._arrived.put_nowait(message)
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return


class RealtimeClient:
    """A client of the Realtime protocol that validates each event against OpenAI's own types and keeps them all in `events`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool] | Attentive) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.session: dict[str, Any] = {}

    @property
    def types(self) -> list[str]:
        """The types of all events so far."""
        return [event["type"] for event in self.events]

    def all(self, event_type: str) -> list[dict[str, Any]]:
        """Return the events of a type so far."""
        return [event for event in self.events if event["type"] == event_type]

    async def send(self, event_type: str, **fields: Any) -> None:
        """Send an event."""
        await self.socket.send_str(json.dumps({"type": event_type, **fields}))

    async def update(self, **session: Any) -> dict[str, Any]:
        """Send a `session.update` and return the session in force; raises AssertionError if it is refused."""
        await self.send("session.update", session={"type": "realtime", **session})
        event = await self.until("session.updated", "error")
        assert event["type"] == "session.updated", event
        updated: dict[str, Any] = event["session"]
        return updated

    async def say(self, audio: bytes, chunk_ms: int = 100) -> None:
        """Append audio, as fast as it goes."""
        for start in range(0, len(audio), 48 * chunk_ms):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[start : start + 48 * chunk_ms]).decode())

    async def receive(self) -> dict[str, Any] | None:
        """Return the next event, validated; None when the connection is closed."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return None
        event = checked(message.data)
        assert event["event_id"] not in {known["event_id"] for known in self.events}
        self.events.append(event)
        return event

    async def until(self, *event_types: str) -> dict[str, Any]:
        """Receive up to the next event of one of these types and return it."""
        try:
            while (event := await self.receive()) is not None:
                if event["type"] in event_types:
                    return event
        except TimeoutError:
            raise AssertionError(f"No {event_types} came; after {self.types[-8:]}") from None
        raise AssertionError(f"The connection closed ({self.socket.close_code}) before {event_types}; after {self.events[-3:]}")

    async def until_closed(self) -> int | None:
        """Receive all that comes, and return the close code."""
        while await self.receive() is not None:
            pass
        return self.socket.close_code

    async def has_heard_all(self) -> None:
        """Tell that all of the last reply was heard, as one who plays it quicker than it was spoken."""
        delta = self.all("response.output_audio.delta")[-1]
        pieces = (event["delta"] for event in self.all("response.output_audio.delta") if event["item_id"] == delta["item_id"])
        length_ms = sum(len(base64.b64decode(piece)) for piece in pieces) // 48
        await self.send("conversation.item.truncate", item_id=delta["item_id"], content_index=0, audio_end_ms=length_ms)
        await self.until("conversation.item.truncated")

    def spoken_audio(self) -> bytes:
        """Return the audio of all replies so far."""
        return b"".join(base64.b64decode(event["delta"]) for event in self.all("response.output_audio.delta"))


@contextlib.asynccontextmanager
async def running_gateway(mistral: SimulatorHandle | str, directory: Path, **changes: Any) -> AsyncIterator[GatewayHandle]:
    """Run a gateway in this process, on free loopback ports.

    Changes: as in `gateway_config`; `deadlines`, `key`, `accept_seconds`, `client_limits`, `speech_transport`, `clock`, and
    `speech_spares`, none unless given: each reply then opens its own socket, and faults strike as told. Its clock is the event
    loop's unless one is given.
    """
    files = GatewayFiles(directory)
    url, key = (mistral, "no-key") if isinstance(mistral, str) else (mistral.base_url, mistral.key)
    files.write(changes.pop("key", key))
    settings = Settings(
        config=files.config,
        host="127.0.0.1",
        client_port=0,
        metrics_port=0,
        log_level="debug",
        accept_seconds=changes.pop("accept_seconds", 0.05),
        deadlines=changes.pop("deadlines", Deadlines(10.0, 15.0, 10.0)),
        speech_spares=changes.pop("speech_spares", 0),
        speech_transport=changes.pop("speech_transport", SpeechTransport.AUTO),
        client_limits=changes.pop("client_limits", ClientLimits()),
    )
    clock = changes.pop("clock", None) or Clock(asyncio.get_running_loop().time)
    config = gateway_config(url, files, **changes)
    scheme = "https" if config.tls_directory else "http"
    async with gateway_main.running_gateway(settings, config, Redactor(), clock) as gateway:
        yield GatewayHandle(
            f"{scheme}://127.0.0.1:{gateway.client_port}", f"http://127.0.0.1:{gateway.metrics_port}", files, lifecycle=gateway.lifecycle
        )


@contextlib.asynccontextmanager
async def gateway_process(
    mistral: SimulatorHandle, directory: Path, flags: Sequence[str] = (), **changes: Any
) -> AsyncIterator[GatewayHandle]:
    """Run a gateway as a process of its own; `log_lines` collects what it writes. It is killed at the end if it still runs."""
    files = GatewayFiles(directory)
    files.write(changes.pop("key", mistral.key))
    home = changes.pop("home", directory)
    files.config.write_text(encode(gateway_config(mistral.base_url, files, **changes)))
    process = await start_gateway_process(files, flags, home)
    handle = GatewayHandle("", "", files, process=process)
    listening: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(_read_log(process, handle.log_lines, listening))
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            ports = await listening
        handle.base_url = f"http://127.0.0.1:{ports['port']}"
        handle.metrics_url = f"http://127.0.0.1:{ports['metrics_port']}"
        yield handle
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await reading


async def start_gateway_process(files: GatewayFiles, flags: Sequence[str] = (), home: Path | None = None) -> asyncio.subprocess.Process:
    """Start `mistral-voice gateway` on free loopback ports."""
    arguments = ["--config", str(files.config), "--host", "127.0.0.1", "--client-port", "0", "--metrics-port", "0", *flags]
    environment = {
        "HOME": str(home or files.directory),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mistral_voice.cli.main", "gateway", *arguments, stderr=asyncio.subprocess.PIPE, env=environment
    )


async def _read_log(process: asyncio.subprocess.Process, lines: list[str], listening: "asyncio.Future[dict[str, Any]]") -> None:
    assert process.stderr is not None
    async for raw in process.stderr:
        lines.append(raw.decode().rstrip())
        if not listening.done() and '"listening"' in lines[-1]:
            listening.set_result(json.loads(lines[-1]))
    if not listening.done():
        listening.set_exception(AssertionError("The gateway did not start:\n" + "\n".join(lines)))
