"""The broker process."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from mistral_voice.broker.calls import Calls
from mistral_voice.broker.control_plane import ControlPlane, TokenFile, open_http
from mistral_voice.broker.directory import Directory
from mistral_voice.broker.keys import KeyKeeper, KeyReports, KeyRing
from mistral_voice.broker.leftovers import Leftovers
from mistral_voice.broker.lines import Surroundings
from mistral_voice.broker.metrics import PREFIX, BrokerMetrics
from mistral_voice.broker.server import GatewayPort, Phase, listening
from mistral_voice.broker.session import Sessions
from mistral_voice.broker.settings import Settings, parse
from mistral_voice.broker.tickets import Tickets
from mistral_voice.kube.access import Access, NoAccess, load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.identity import Identity
from mistral_voice.mistral.rest.client import open_http as open_rest
from mistral_voice.mistral.stream.client import KEPT_SECONDS
from mistral_voice.runtime import logs
from mistral_voice.runtime.background import Background
from mistral_voice.runtime.certificate import ServedCertificate, TrustedAuthorities
from mistral_voice.runtime.certificate_expiry import tell_expiries
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.health import health_app, serving
from mistral_voice.runtime.metrics import loop_lag_histogram, observing_loop_lag, process_registry
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.shutdown import stop_signal

CERTIFICATE_SECONDS: Final = 10.0
LAST_RELEASES_SECONDS: Final = 5.0

_log: Final = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM, drain, and return 0; 1 if the cluster, the certificate or a port can't be used, or a vital task broke."""
    settings = parse(argv)
    redactor = Redactor()
    logs.configure("broker", settings.log_level, redactor)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, redactor))
    except (OSError, NoAccess) as error:
        _log.error("The broker can't start: %s", error)
        return 1


async def _serve(settings: Settings, redactor: Redactor) -> int:
    access = await load_access()
    with stop_signal() as stopped:
        async with running_broker(settings, access, redactor) as broker:
            broker.background.ends(stopped)
            await stopped.wait()
            await broker.drain(settings.accept_seconds, settings.drain_seconds)
            return 1 if broker.background.failure else 0


@dataclass
class Broker:
    """A broker that listens on these ports."""

    port: int
    metrics_port: int
    gateway_port: GatewayPort
    sessions: Sessions
    metrics: BrokerMetrics
    background: Background

    async def drain(self, accept_seconds: float, move_seconds: float) -> None:
        """Not ready at once, accepting for a while yet, then refusing; sessions are asked to move.

        Returns when none is left, at the latest after both times.
        """
        self.gateway_port.phase = Phase.DRAINING
        self.metrics.draining.set(1)
        _log.info("Draining.", extra=logs.fields(sessions=len(self.sessions)))
        await asyncio.sleep(accept_seconds)
        self.gateway_port.phase = Phase.REFUSING
        self.sessions.move_all()
        try:
            async with asyncio.timeout(move_seconds):
                await self.sessions.empty.wait()
        except TimeoutError:
            _log.warning("Sessions were cut off at the end of the drain.", extra=logs.fields(sessions=len(self.sessions)))


@asynccontextmanager
async def running_broker(settings: Settings, access: Access, redactor: Redactor, clock: Clock | None = None) -> AsyncIterator[Broker]:
    """Serve while the context lasts. Raises OSError if a port, the certificate or a CA bundle can't be used."""
    clock = clock or Clock.steady()
    registry = process_registry()
    metrics = BrokerMetrics(registry)
    sessions, tickets, reports = Sessions(), Tickets(), KeyReports()
    certificate = ServedCertificate(settings.tls_directory)
    tell_expiries(PREFIX.rstrip("_"), registry, lambda: certificate.expiries)
    authorities = TrustedAuthorities(Path(settings.control_plane_ca) if settings.control_plane_ca else None)
    ca_bundle = await asyncio.to_thread(Path(settings.upstream_ca).read_text) if settings.upstream_ca else None
    background = Background("broker")
    async with AsyncExitStack() as closing:
        kube = await closing.enter_async_context(Client(access))
        control_http = await closing.enter_async_context(open_http(None))
        mistral_http = await closing.enter_async_context(open_http(settings.upstream_ca, KEPT_SECONDS))
        mistral_sockets = await closing.enter_async_context(open_http(settings.upstream_ca))
        rest = await closing.enter_async_context(open_rest(ca_bundle))
        control_plane = ControlPlane(control_http, settings.control_plane_url, TokenFile(settings.control_plane_token), authorities)
        ring = KeyRing(kube, settings.pool_namespace, redactor, settings.upstream_url)
        directory = Directory(kube)
        keeper = KeyKeeper(settings.name, control_plane, ring, reports, rest)
        await closing.enter_async_context(observing_loop_lag(loop_lag_histogram(PREFIX.rstrip("_"), registry)))
        watching = background.running(
            directory=directory.run(), keys=keeper.run(), certificates=_keep_certificates(certificate, authorities)
        )
        await closing.enter_async_context(watching)
        releases = Leftovers()
        closing.push_async_callback(releases.finish, LAST_RELEASES_SECONDS)
        listener = closing.enter_context(socket.create_server((settings.host, settings.port), reuse_port=False))
        address = _address(settings.advertised_host, listener.getsockname()[1])
        calls = Calls(mistral_http, mistral_sockets, tickets, sessions, reports, metrics, clock, settings.any_address)
        surroundings = Surroundings(
            settings.name, address, directory, control_plane, ring, reports, tickets, sessions, metrics, clock, releases
        )
        gateways = GatewayPort(Identity(kube, clock.monotonic), calls, surroundings)
        health = health_app(registry, gateways.not_ready_because, lambda: background.failure)
        async with (
            serving(health, settings.host, settings.metrics_port) as metrics_port,
            listening(gateways.app(), listener, certificate.context),
        ):
            gateways.phase = Phase.SERVING
            _log.info("listening", extra=logs.fields(port=listener.getsockname()[1], metrics_port=metrics_port))
            yield Broker(listener.getsockname()[1], metrics_port, gateways, sessions, metrics, background)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _keep_certificates(certificate: ServedCertificate, authorities: TrustedAuthorities) -> None:
    while True:
        await asyncio.sleep(CERTIFICATE_SECONDS)
        certificate.refresh()
        authorities.refresh()
