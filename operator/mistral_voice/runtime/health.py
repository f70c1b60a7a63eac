"""The side port of a process: `/healthz` (alive), `/readyz` (may get work), `/metrics` (Prometheus)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mistral_voice.runtime.serving import runner

Readiness = Callable[[], str | None]
"""Returns None when ready, else a sentence that says what is missing."""


Exposition = Callable[[], bytes]
"""Returns further series in the Prometheus text format; for those that would be too many for a registry."""


def health_app(
    registry: CollectorRegistry,
    not_ready_because: Readiness,
    not_alive_because: Readiness = lambda: None,
    further_series: Exposition = lambda: b"",
) -> web.Application:
    """Return the application of the side port. The callables answer at once and must not block."""

    def answer(reason: str | None) -> web.Response:
        return web.Response(text="ok\n") if reason is None else web.Response(status=503, text=reason + "\n")

    async def healthz(_: web.Request) -> web.Response:
        return answer(not_alive_because())

    async def readyz(_: web.Request) -> web.Response:
        return answer(not_ready_because())

    async def metrics(_: web.Request) -> web.Response:
        # First, since it may also refresh what the registry holds.
        further = further_series()
        return web.Response(body=generate_latest(registry) + further, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the context lasts; yields the bound port (useful with port 0). Raises OSError if the port can't be bound."""
    served = runner(app, shutdown_seconds=1.0)
    await served.setup()
    try:
        site = web.TCPSite(served, host, port)
        await site.start()
        yield served.addresses[0][1]
    finally:
        await asyncio.shield(served.cleanup())
