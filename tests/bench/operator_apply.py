"""A thousand integrations from nothing to all children and status: the operator against a bare client that sends the same requests.

The operator waits as a follower, with its watches warm, until the benchmark gives the lease back; the clock runs from then on. The bare
client, on a fresh API server of its own, has every request ready as bytes, reads no answer's content, and keeps 20 requests in flight.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from mistral_voice.contract import names
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.access import load_access, open_session
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.observed import Reader
from mistral_voice.kube.resources import LEASE, SECRET
from tests.bench import requests
from tests.bench.integrations import children, integration, places
from tests.bench.line import Line, progress, runs, size
from tests.bench.place import IN_FLIGHT, Bench, bench
from tests.bench.process import usage
from tests.bench.visits import visits
from tests.support.waiting import eventually

GOAL = 0.8
INTERVAL_SECONDS = 86400
_LEASE = "mistral-voice-operator"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class Pass:
    """One pass over all integrations: how long it took, the writes of each kind, and the statuses that were written, by name."""

    seconds: float
    writes: Counter[str]
    statuses: dict[str, KubeObject]
    cpu_seconds: float = 0.0
    visits: float = 0.0


@dataclass(frozen=True)
class Request:
    """One request as the bare client sends it."""

    method: str
    path: str
    accept: str = "application/json"
    body: bytes | None = None


def main() -> int:
    """Measure and print. Returns 0."""
    asyncio.run(_measure(size(1000), runs(3)))
    return 0


async def _measure(count: int, times: int) -> None:
    rates, peers, last = [], [], None
    for number in range(1, times + 1):
        last = await _by_the_operator(count)
        rates.append(count / last.seconds)
        peer = await _by_a_bare_client(count, last.statuses)
        peers.append(count / peer.seconds)
        progress(f"run {number}: operator {rates[-1]:.1f}/s, bare client {peers[-1]:.1f}/s, operator's CPU {last.cpu_seconds:.1f} s")
        if +last.writes != +peer.writes:
            progress(f"the writes differ: operator {dict(last.writes)}, bare client {dict(peer.writes)}")
    assert last is not None, "BENCH_RUNS is 1 or more"
    ratio = statistics.median(rate / peer for rate, peer in zip(rates, peers, strict=True))
    Line("operator-apply", statistics.median(rates), "integrations/s", f"ratio >= {GOAL}", statistics.median(peers), ratio, times).print()
    status = last.writes.pop("mistralvoiceintegrations/status", 0)
    kinds = len(+last.writes)
    Line("operator-apply-child-writes", sum(last.writes.values()) / count, "writes/integration", f"{kinds}, one a child").print()
    Line("operator-apply-status-writes", status / count, "writes/integration", "1").print()
    Line("operator-apply-visits", last.visits / count, "visits/integration").print()
    Line("operator-apply-cpu", last.cpu_seconds / count * 1000, "ms/integration").print()


async def _by_the_operator(count: int) -> Pass:
    async with bench(count) as place:
        progress(f"operator: {count} integrations on a fresh API server")
        bodies = [integration(spot, interval_seconds=INTERVAL_SECONDS) for spot in places(count)]
        await place.create_all(INTEGRATION, bodies)
        async with _lease_withheld(place), place.operator() as operator:
            before = requests.writes(place.cluster)
            used = usage(operator.process.pid).cpu_seconds
            started = time.monotonic()
            await place.client.delete(LEASE, "default", _LEASE)
            # To be asked costs the operator some milliseconds: until it is nearly done, seldom.
            await eventually(lambda: visits(operator, at_least=count * 0.9), "most visits", _TIMEOUT_SECONDS, 1.0)
            await eventually(lambda: visits(operator, at_least=count), "all visits", _TIMEOUT_SECONDS, 0.1)
            found = await eventually(lambda: _all_finished(place), "all statuses", _TIMEOUT_SECONDS, 0.1)
            seconds = time.monotonic() - started
            written = requests.writes(place.cluster) - before
            written["events"] = await requests.events(place.client)
            passes = await visits(operator)
            used = usage(operator.process.pid).cpu_seconds - used
        return Pass(seconds, written, {body["metadata"]["name"]: body["status"] for body in found}, used, passes)


@asynccontextmanager
async def _lease_withheld(place: Bench) -> AsyncIterator[None]:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = {"holderIdentity": "benchmark", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now, "leaseTransitions": 0}
    metadata = {"name": _LEASE, "namespace": "default"}
    await place.client.create(LEASE, "default", {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec})
    yield


async def _all_finished(place: Bench) -> list[KubeObject]:
    found = await place.client.list_all(INTEGRATION)
    return found if all(map(_is_finished, found)) else []


def _is_finished(body: KubeObject) -> bool:
    conditions = body.get("status", {}).get("conditions", ())
    return any(entry["type"] == "Healthy" and entry["status"] == "True" for entry in conditions)


async def _by_a_bare_client(count: int, statuses: dict[str, KubeObject]) -> Pass:
    async with bench(count) as place:
        progress(f"bare client: the same {count} on another fresh API server")
        bodies = [integration(spot, interval_seconds=INTERVAL_SECONDS) for spot in places(count)]
        made = await place.create_all(INTEGRATION, bodies)
        prepared = [_visit(body, statuses[body["metadata"]["name"]], place.settings) for body in made]
        before = requests.writes(place.cluster)
        access = await load_access(place.cluster.kubeconfig)
        async with open_session(access, limit=IN_FLIGHT) as session:
            started = time.monotonic()
            await _send_all(session, access.server, prepared)
            seconds = time.monotonic() - started
        return Pass(seconds, requests.writes(place.cluster) - before, statuses)


def _visit(body: KubeObject, status: KubeObject, settings: dict[str, Any]) -> list[Request]:
    """Return what one integration takes: its Secret read, each child made, the status written."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    manager = f"?fieldManager={names.FIELD_MANAGER}"
    requests_ = [Request("GET", SECRET.path(namespace, "mistral"))]
    for resource, child in children(body, body["metadata"]["uid"], settings):
        accept = _METADATA if Reader.metadata_only(resource) else "application/json"
        requests_.append(Request("POST", resource.path(namespace) + manager, accept, msgspec.json.encode(child)))
    metadata = {key: body["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    whole = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": body["spec"], "status": status}
    requests_.append(Request("PUT", INTEGRATION.path(namespace, name, "status") + manager, body=msgspec.json.encode(whole)))
    return requests_


async def _send_all(session: aiohttp.ClientSession, server: str, visits: Sequence[Sequence[Request]]) -> None:
    waiting = iter(visits)

    async def work() -> None:
        for visit in waiting:
            for request in visit:
                await _send(session, server, request)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


async def _send(session: aiohttp.ClientSession, server: str, request: Request) -> None:
    headers = {"Accept": request.accept, "Content-Type": "application/json"}
    async with session.request(request.method, server + request.path, data=request.body, headers=headers) as response:
        payload = await response.read()
        assert response.status < 300, f"{request.method} {request.path}: {response.status} {payload[:500]!r}"
