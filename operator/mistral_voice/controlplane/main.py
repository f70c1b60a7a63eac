"""The control plane process."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import uvloop
from aiohttp import web

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.controlplane import copying
from mistral_voice.controlplane.api.server import PeoplesApi
from mistral_voice.controlplane.backup_schedule import BackupSchedule
from mistral_voice.controlplane.broker_port import BrokerPort
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.console.pages import console
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.ledger.ledger import Ledger, LedgerUnavailable
from mistral_voice.controlplane.metrics import PREFIX, ControlPlaneMetrics
from mistral_voice.controlplane.plan_figures import PlanFigures
from mistral_voice.controlplane.settings import Settings, parse
from mistral_voice.controlplane.store.database import open_database
from mistral_voice.controlplane.store.errors import DatabaseUnusable
from mistral_voice.controlplane.upkeep import StatusWriter, Upkeep
from mistral_voice.controlplane.watching import CatalogueWatch
from mistral_voice.kube.access import Access, NoAccess, load_access
from mistral_voice.kube.authorization import Authorizer
from mistral_voice.kube.client import Client
from mistral_voice.kube.identity import Identity, TokenReviews, user_of
from mistral_voice.kube.lease import LeaderElector
from mistral_voice.runtime import logs
from mistral_voice.runtime.background import Background
from mistral_voice.runtime.certificate import ServedCertificate
from mistral_voice.runtime.certificate_expiry import tell_expiries
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.health import health_app, serving
from mistral_voice.runtime.metrics import loop_lag_histogram, observing_loop_lag, process_registry
from mistral_voice.runtime.serving import runner
from mistral_voice.runtime.shutdown import stop_signal

CERTIFICATE_SECONDS: Final = 10.0

_log: Final = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM, answer what was asked, and return 0; 1 if the cluster, the database, a certificate or a port can't be used.

    `backup` and `restore` copy the database instead.
    """
    if argv and argv[0] in copying.COMMANDS:
        return copying.main(argv)
    settings = parse(argv)
    logs.configure("control-plane", settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings))
    except (OSError, NoAccess, DatabaseUnusable, LedgerUnavailable) as error:
        _log.error("The control plane can't start: %s", error)
        return 1


async def _serve(settings: Settings) -> int:
    access = await load_access()
    with stop_signal() as stopped:
        async with running_control_plane(settings, access) as control_plane:
            control_plane.background.ends(stopped)
            await stopped.wait()
            return 1 if control_plane.background.failure else 0


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that listens on these ports."""

    port: int
    metrics_port: int
    upkeep: Upkeep
    background: Background


@asynccontextmanager
async def running_control_plane(settings: Settings, access: Access, clock: Clock | None = None) -> AsyncIterator[ControlPlane]:
    """Serve while the context lasts. Raises OSError, DatabaseUnusable or LedgerUnavailable if it can't."""
    clock = clock or Clock()
    registry = process_registry()
    metrics = ControlPlaneMetrics(registry)
    catalogue = Catalogue()
    certificate = ServedCertificate(settings.tls_directory) if settings.tls_directory is not None else None
    tell_expiries(PREFIX.rstrip("_"), registry, lambda: certificate.expiries if certificate is not None else {})
    background = Background("control plane")
    async with AsyncExitStack() as closing:
        kube = await closing.enter_async_context(Client(access))
        database = await closing.enter_async_context(open_database(settings.url(), own_clock=clock.wall))
        await catalogue.recall(database)
        keys = KeyRing(database, lambda: catalogue.pools)
        ledger = Ledger(database, lambda: catalogue.plans, keys.choose, charged=metrics.charged)
        plans_changed = asyncio.Event()
        watch = CatalogueWatch(kube, catalogue, plans_changed.set)
        upkeep = Upkeep(database, ledger, keys, catalogue, metrics, clock.monotonic, settings.retention, watch, plans_changed)
        elector = LeaderElector(kube, namespace=access.namespace, name=settings.lease_name, identity=settings.name)
        figures = PlanFigures(database, catalogue, registry)
        writer = StatusWriter(kube, watch, keys, elector, clock.wall)
        backups = BackupSchedule.of(settings, database, metrics, clock.wall)
        await closing.enter_async_context(observing_loop_lag(loop_lag_histogram(PREFIX.rstrip("_"), registry)))
        running = background.running(
            ledger=ledger.run(),
            watch=watch.run(),
            upkeep=upkeep.run(),
            status=writer.run(),
            figures=figures.run(),
            certificate=_keep_certificate(certificate),
            backups=backups.run() if backups is not None else _nothing(),
        )
        await closing.enter_async_context(running)

        def not_ready() -> str | None:
            return watch.not_ready_because() or upkeep.problem

        brokers = BrokerPort(Identity(kube, clock.monotonic, CONTROL_PLANE_AUDIENCE), settings.brokers, ledger, keys, metrics, not_ready)
        users = TokenReviews(kube, clock.monotonic, CONTROL_PLANE_AUDIENCE, user_of)
        people = PeoplesApi(users, Authorizer(kube, clock.monotonic), database, catalogue, keys, not_ready)
        app = brokers.app()
        people.add_to(app)
        console().add_to(app.router)
        health = health_app(registry, not_ready, lambda: background.failure)
        async with (
            serving(health, settings.host, settings.metrics_port) as metrics_port,
            listening(app, settings.host, settings.port, certificate.context if certificate is not None else None) as port,
        ):
            _log.info("listening", extra=logs.fields(port=port, metrics_port=metrics_port, database=database.dialect.value))
            yield ControlPlane(port, metrics_port, upkeep, background)


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve `app` while the context lasts, and at its end what is being answered. Yields the bound port."""
    served = runner(app, shutdown_seconds=5.0)
    await served.setup()
    try:
        await web.TCPSite(served, host, port, ssl_context=tls).start()
        yield served.addresses[0][1]
    finally:
        await asyncio.shield(served.cleanup())


async def _nothing() -> None:
    """Stand for work that there is none of."""


async def _keep_certificate(certificate: ServedCertificate | None) -> None:
    while certificate is not None:
        await asyncio.sleep(CERTIFICATE_SECONDS)
        certificate.refresh()
