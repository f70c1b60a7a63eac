"""The simulated Mistral, in-process, for tests.

async with running_simulator() as mistral:
    ...  # mistral.base_url, mistral.key, mistral.simulator, await mistral.put_script({...})
"""

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from mistral_voice.contract.secret import Secret
from mistral_voice.simulator.clock import Clock
from mistral_voice.simulator.core import Simulator, new_simulator
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.keys import Key
from mistral_voice.simulator.server import serving
from mistral_voice.simulator.temperament import Temperament

TEST_KEY = "simulated-mistral-key-0001"


class SimulatorHands:
    """What tests do with a simulator that runs wherever it may: at `base_url`."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._http = http

    @property
    def websocket_url(self) -> str:
        """The base URL for realtime sockets."""
        return "ws" + self.base_url.removeprefix("http")

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call an admin endpoint, such as `/faults`; returns its JSON. Raises AssertionError with its sentence if it refuses."""
        async with self._http.request(method, f"{self.base_url}/_simulator{path}", json=body) as response:
            text = await response.text()
            assert response.status < 400, f"{method} {path}: {response.status} {text}"
            return await response.json() if text else None

    async def put_script(self, script: dict[str, Any], *, key_id: str | None = None, session: str | None = None) -> None:
        """Set the script of a key, of a session, or the default one."""
        path = f"/keys/{key_id}/script" if key_id else f"/sessions/{session}/script" if session else "/script"
        await self.admin("PUT", path, script)

    async def add_key(self, key_id: str, value: str, **rest: Any) -> None:
        """Add a key: `scopes`, `state` (valid, revoked, disabled) and `domain` may be given."""
        await self.admin("PUT", f"/keys/{key_id}", {"value": value, **rest})

    async def add_fault(self, kind: str, **rest: Any) -> str:
        """Add a fault and return its id: `endpoint`, `key_id`, `session`, `times`, `skip` … as in docs/simulator.md."""
        fault: dict[str, Any] = await self.admin("POST", "/faults", {"kind": kind, **rest})
        return str(fault["id"])

    async def requests(self, **wanted: str) -> list[dict[str, Any]]:
        """Return what was asked; `endpoint`, `key_id`, `session` and `after` select."""
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        found: list[dict[str, Any]] = await self.admin("GET", f"/requests?{query}")
        return found


class SimulatorHandle(SimulatorHands):
    """A simulator in this process: where it listens, a key that it takes, its parts, and its admin endpoints."""

    key = TEST_KEY
    key_id = "test"

    def __init__(self, base_url: str, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        super().__init__(base_url, http)
        self.simulator = simulator

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the key."""
        return {"Authorization": f"Bearer {self.key}"}


@contextlib.asynccontextmanager
async def running_simulator(
    script: dict[str, Any] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    dialect: Dialect | None = None,
    clock: Clock | None = None,
    temperament: Temperament | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[SimulatorHandle]:
    """Run a simulator on a free loopback port while the context lasts; with `tls` it serves HTTPS."""
    simulator = new_simulator(keys=[Key("test", Secret(TEST_KEY))], dialect=dialect, clock=clock, temperament=temperament)
    async with serving(simulator, host, port, tls) as bound, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http:
        handle = SimulatorHandle(f"{'https' if tls else 'http'}://{host}:{bound}", simulator, http)
        if script is not None:
            await handle.put_script(script)
        yield handle
