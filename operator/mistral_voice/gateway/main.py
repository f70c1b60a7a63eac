"""The gateway process."""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from msgspec import structs

from mistral_voice.contract.gateway_config import GatewayConfig, GatewayConfigError, decode
from mistral_voice.gateway.admission import Doorkeeper
from mistral_voice.gateway.client_secret import ClientSecrets
from mistral_voice.gateway.client_token import ClientTokens
from mistral_voice.gateway.connection import Surroundings
from mistral_voice.gateway.credential import Credential
from mistral_voice.gateway.housekeeping import keep_house
from mistral_voice.gateway.lifecycle import Lifecycle, Phase, drain_times
from mistral_voice.gateway.managed.mode import ManagedMode
from mistral_voice.gateway.metrics import GatewayMetrics, Models
from mistral_voice.gateway.server import ClientPort, listening
from mistral_voice.gateway.session.policy import policy_of
from mistral_voice.gateway.settings import Settings, parse
from mistral_voice.gateway.tracing import tracing
from mistral_voice.gateway.upstream.speech_sockets import SpeechSockets
from mistral_voice.gateway.vad.engine import VadEngine
from mistral_voice.mistral.stream.client import StreamClient, open_http
from mistral_voice.runtime import logs
from mistral_voice.runtime.background import Background
from mistral_voice.runtime.certificate import ServedCertificate
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.health import health_app, serving
from mistral_voice.runtime.metrics import process_registry
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.shutdown import stop_signal

_log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM, drain, and return 0.

    Returns 1 if the configuration, a port, the certificate or the CA bundle can't be used, or if a part of the gateway broke.
    """
    settings = parse(argv)
    redactor = Redactor()
    logs.configure("gateway", settings.log_level, redactor)
    try:
        config = decode(settings.config.read_bytes())
    except OSError as error:
        _log.error("The configuration %s can't be read: %s.", settings.config, error.strerror)
        return 1
    except GatewayConfigError as error:
        _log.error("%s", error)
        return 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, config, redactor))
    except OSError as error:
        _log.error("The gateway can't start: %s.", error)
        return 1


async def _serve(settings: Settings, config: GatewayConfig, redactor: Redactor) -> int:
    with stop_signal() as stopped:
        async with running_gateway(settings, config, redactor) as gateway:
            _calm_the_garbage_collector()
            _let_detection_in()
            gateway.background.ends(stopped)
            await stopped.wait()
            limits = config.limits
            await gateway.lifecycle.drain(drain_times(settings.accept_seconds, limits.drain_timeout_seconds, limits.node_grace_seconds))
            return 1 if gateway.background.failure else 0


@dataclass(frozen=True)
class Gateway:
    """A gateway that listens on these ports."""

    client_port: int
    metrics_port: int
    lifecycle: Lifecycle
    background: Background


@asynccontextmanager
async def running_gateway(
    settings: Settings, config: GatewayConfig, redactor: Redactor, clock: Clock | None = None
) -> AsyncIterator[Gateway]:
    """Serve while the context lasts. Raises OSError if a port, the certificate or the CA bundle can't be used."""
    registry = process_registry()
    upstream = config.upstream
    models = Models(config.session.model, upstream.transcription_model, upstream.speech_model)
    metrics = GatewayMetrics(registry, config.integration, models)
    credential = Credential(Path(config.upstream.credential_file), redactor)
    tokens = ClientTokens(Path(config.client_token_directory), redactor)
    certificate = ServedCertificate(Path(config.tls_directory)) if config.tls_directory else None
    lifecycle = Lifecycle(credential.missing_because)
    metrics.watch_sessions(lambda: lifecycle.session_count, lambda: lifecycle.is_draining)
    engine = VadEngine()
    background = Background("gateway")
    async with AsyncExitStack() as closing:
        http = await closing.enter_async_context(open_http(config.upstream.ca_bundle_file))
        client = StreamClient(http, config.upstream.base_url, credential.key, settings.deadlines)
        speech = SpeechSockets(client, config.upstream.speech_model, metrics, settings.speech_spares, settings.speech_transport)
        housekeeping = keep_house(metrics, lifecycle, certificate)
        await closing.enter_async_context(background.running(detection=engine.run(), housekeeping=housekeeping))
        await closing.enter_async_context(Background("gateway").running(spares=speech.run()))
        clock = clock or Clock()
        secrets = ClientSecrets(tokens, config.integration, clock.wall)
        door = Doorkeeper(tokens, secrets, policy_of(config), config.policy)
        limits = structs.replace(settings.client_limits, message_bytes=config.limits.max_message_bytes)
        tracer = await closing.enter_async_context(tracing(config.tracing_endpoint, config.integration))
        surroundings = Surroundings(client, engine, speech, metrics, limits, clock, tracer)
        managed = ManagedMode(http, config, credential, settings) if config.integration.mode == "managed" else None
        clients = ClientPort(door, secrets, lifecycle, surroundings, config.limits.max_sessions, managed)
        health = health_app(registry, lifecycle.not_ready_because, lambda: background.failure)
        async with (
            serving(health, settings.host, settings.metrics_port) as metrics_port,
            listening(clients.app(), settings.host, settings.client_port, certificate.context if certificate else None) as client_port,
        ):
            lifecycle.phase = Phase.SERVING
            _log.info("listening", extra=logs.fields(port=client_port, metrics_port=metrics_port, tls=certificate is not None))
            if config.session.turn_detection != "push_to_talk":
                engine.load_soon()
            yield Gateway(client_port, metrics_port, lifecycle, background)


def _let_detection_in() -> None:
    """Give detection's thread the interpreter within half a millisecond, instead of five: callers wait for what it finds."""
    sys.setswitchinterval(0.0005)


def _calm_the_garbage_collector() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
