"""Managed mode whole: a real control plane with its database, beside real brokers, gateways and an API server."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.contract.names import API_VERSION, GROUP, POOL_KIND, POOL_PLURAL, VERSION
from mistral_voice.controlplane.main import running_control_plane
from mistral_voice.controlplane.settings import Settings
from mistral_voice.kube.access import load_access
from mistral_voice.kube.errors import NotFound
from mistral_voice.kube.resources import Resource
from mistral_voice.runtime.clock import Clock
from tests.api.broker.place import Place
from tests.support.service import Service, running_service
from tests.support.waiting import WAIT_SECONDS, eventually

POOL = Resource(GROUP, VERSION, POOL_PLURAL, POOL_KIND, namespaced=False)
TENANTS = {"matchLabels": {"tenant": "yes"}}


@dataclass
class Whole:
    """A place with a control plane of its own, whose clock a test may set by `ahead_seconds`."""

    place: Place
    service: Service
    ahead_seconds: float = 0.0
    metrics_port: int = 0
    log_lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where brokers reach the control plane."""
        return f"https://localhost:{self.service.port}"

    @property
    def database(self) -> Path:
        """SQLite's file."""
        return self.place.folder / "ledger.db"

    @property
    def token_file(self) -> Path:
        """The brokers' token."""
        return self.place.folder / "real-control-plane-token"

    def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(question, values).fetchall()

    def count(self, table: str, **where: Any) -> int:
        """Count rows."""
        conditions = " and ".join(f"{name} = ?" for name in where) or "true"
        return int(self.rows(f"select count(*) from {table} where {conditions}", *where.values())[0][0])

    def all_is_told(self) -> bool:
        """Tell whether the last of each session's use was reported: a lease that merely ran out holds nothing either."""
        return self.count("holds") == 0 and self.count("usage", state="Open") == 0 and self.count("usage", state="Released") > 0

    def charged(self, namespace: str) -> tuple[int, int]:
        """Return the milliseconds and micro-units of a namespace's entries."""
        sums = "select coalesce(sum(session_ms), 0), coalesce(sum(micro_units), 0) from entries where namespace = ?"
        ((session_ms, micro_units),) = self.rows(sums, namespace)
        return int(session_ms), int(micro_units)

    def amounts(self, namespace: str) -> dict[str, int]:
        """Return what a namespace was charged for, by unit."""
        return dict(self.rows("select unit, sum(amount) from entries where namespace = ? and unit != '' group by unit", namespace))

    async def put_plan(self, **changes: Any) -> None:
        """Create or replace the plan, and wait until the control plane knows it."""
        await self.place.put_plan(**{"namespaceSelector": TENANTS, "poolRef": {"name": self.place.pool_namespace}, **changes})
        version = (await self.place.client.get(PLANS, None, self.place.plan))["spec"]

        def known() -> bool:
            found = self.rows("select spec from plans where name = ? and deleted_at is null", self.place.plan)
            return bool(found) and _agree(json.loads(found[0][0]), version)

        await eventually(known, "the control plane's knowledge of the plan")

    async def put_pool(self, *keys: dict[str, Any]) -> None:
        """Create or replace the pool."""
        body = {"apiVersion": API_VERSION, "kind": POOL_KIND, "metadata": {"name": self.place.pool_namespace}, "spec": {"keys": list(keys)}}
        await self.place.client.apply(POOL, None, self.place.pool_namespace, body, field_manager="platform", force=True)

    async def key_state(self, secret: str, state: str) -> None:
        """Wait until a key has a state."""
        asked = "select state from pool_keys where pool = ? and secret = ?"
        await eventually(lambda: self.rows(asked, self.place.pool_namespace, secret) == [(state,)], f"{secret} to be {state}")

    def broker(self, name: str = "broker-0", **changes: Any) -> Any:
        """Run a broker of this control plane behind the Service."""
        return self.place.broker(name, control_plane_url=self.url, control_plane_token=self.token_file, **changes)

    def broker_process(self, name: str) -> Any:
        """Run a broker as a process of its own."""
        return self.place.broker_process(name, control_plane_url=self.url, control_plane_token=self.token_file)

    @contextlib.asynccontextmanager
    async def control_plane(self) -> AsyncIterator[None]:
        """Run the control plane."""
        settings = Settings(
            name="control-plane-0",
            host="127.0.0.1",
            port=0,
            metrics_port=0,
            database_url_file=None,
            database_url=f"sqlite:///{self.database}",
            brokers=frozenset((f"{self.place.pool_namespace}/broker",)),
            tls_directory=self.place.folder / "tls",
            lease_name=f"control-plane-{self.place.pool_namespace}",
            log_level="debug",
        )
        clock = Clock(wall=lambda: time.time() + self.ahead_seconds)
        async with running_control_plane(settings, await load_access(self.place.cluster.kubeconfig), clock) as control_plane:
            self.metrics_port = control_plane.metrics_port
            self.service.backends = [control_plane.port]
            try:
                yield
            finally:
                self.service.backends = []

    @contextlib.asynccontextmanager
    async def control_plane_process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the control plane as a process of its own, which a test may kill."""
        flags = {
            "name": "control-plane-0",
            "host": "127.0.0.1",
            "port": "0",
            "metrics-port": "0",
            "database-url": f"sqlite:///{self.database}",
            "brokers": f"{self.place.pool_namespace}/broker",
            "tls-directory": str(self.place.folder / "tls"),
            "lease-name": f"control-plane-{self.place.pool_namespace}",
        }
        environment = {
            "HOME": str(self.place.folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "KUBECONFIG": str(self.place.cluster.kubeconfig),
        }
        arguments = [text for flag, value in flags.items() for text in (f"--{flag}", value)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mistral_voice.cli.main", "control-plane", *arguments, stderr=asyncio.subprocess.PIPE, env=environment
        )
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        reading = asyncio.create_task(self._read_log(process, listening))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                self.service.backends = [await listening]
            yield process
        finally:
            self.service.backends = []
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
            await reading

    async def _read_log(self, process: asyncio.subprocess.Process, listening: "asyncio.Future[int]") -> None:
        assert process.stderr is not None
        async for raw in process.stderr:
            self.log_lines.append(raw.decode().rstrip())
            if '"listening"' in self.log_lines[-1] and not listening.done():
                listening.set_result(json.loads(self.log_lines[-1])["port"])
        if not listening.done():
            listening.set_exception(AssertionError("The control plane did not start:\n" + "\n".join(self.log_lines)))


PLANS = Resource(GROUP, VERSION, "mistralvoiceplans", "MistralVoicePlan", namespaced=False)


def _agree(known: Any, written: Any) -> bool:
    """Tell whether all that was written is known so; what is known may have more, such as defaults."""
    if isinstance(written, dict):
        return isinstance(known, dict) and all(_agree(known.get(name), value) for name, value in written.items())
    if isinstance(written, list):
        return isinstance(known, list) and len(known) == len(written) and all(map(_agree, known, written))
    return bool(known == written)


@contextlib.asynccontextmanager
async def whole_place(place: Place) -> AsyncIterator[Whole]:
    """Prepare all but the control plane's process, brokers, tenants and gateways."""
    async with running_service() as service:
        whole = Whole(place, service)
        broker_pod = await place.pod(place.pool_namespace, "broker", "broker-0")
        whole.token_file.write_text(await place.token(broker_pod, "broker", CONTROL_PLANE_AUDIENCE))
        await whole.put_pool({"name": "first", "secretRef": {"name": "mistral-main"}})
        try:
            yield whole
        finally:
            # The next test's control plane would have its keys looked at too.
            with contextlib.suppress(NotFound):
                await place.client.delete(POOL, None, place.pool_namespace)


@contextlib.asynccontextmanager
async def running_whole(place: Place, **plan: Any) -> AsyncIterator[Whole]:
    """Run control plane and one broker, with a key that has been probed and a plan."""
    async with whole_place(place) as whole, whole.control_plane(), whole.broker():
        await whole.put_plan(**plan)
        await whole.key_state("mistral-main", "Active")
        yield whole
