"""The simulator as an HTTP server."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import WSCloseCode, web
from prometheus_client.exposition import choose_encoder

from mistral_voice.runtime.logs import fields
from mistral_voice.simulator import admin
from mistral_voice.simulator.call import MAX_BODY_BYTES, Call, StreamEndedError, admit, arrive
from mistral_voice.simulator.core import Simulator
from mistral_voice.simulator.endpoints import (
    chat,
    client_sessions,
    inventory,
    speech,
    speech_realtime,
    transcription,
    transcription_realtime,
)
from mistral_voice.simulator.errors import ApiError
from mistral_voice.simulator.faults import Endpoint
from mistral_voice.simulator.keys import Scope

logger = logging.getLogger(__name__)

# What proxies note of a request whose client did not wait; nobody receives it.
_CLIENT_GONE: Final = 499

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """An endpoint of the API."""

    method: str
    path: str
    endpoint: Endpoint
    scope: Scope
    handler: Handler


ROUTES = (
    Route("GET", "/v1/models", Endpoint.MODELS, Scope.MODELS, inventory.list_models),
    Route("GET", "/v1/models/{model_id}", Endpoint.MODEL, Scope.MODELS, inventory.get_model),
    Route("GET", "/v1/whoami", Endpoint.WHOAMI, Scope.WHOAMI, inventory.whoami),
    Route("GET", "/v1/audio/voices", Endpoint.VOICES, Scope.SPEECH, inventory.list_voices),
    Route("GET", "/v1/audio/voices/{voice_id}", Endpoint.VOICES, Scope.SPEECH, inventory.get_voice),
    Route("GET", "/v2/audio/voices", Endpoint.VOICES, Scope.SPEECH, inventory.list_voices_v2),
    Route("POST", "/v1/chat/completions", Endpoint.CHAT, Scope.CHAT, chat.complete),
    Route("POST", "/v1/audio/speech", Endpoint.SPEECH, Scope.SPEECH, speech.speak),
    Route("GET", "/v1/audio/speech/realtime", Endpoint.SPEECH_REALTIME, Scope.SPEECH, speech_realtime.speak),
    Route(
        "GET", "/v1/audio/transcriptions/realtime", Endpoint.TRANSCRIPTION_REALTIME, Scope.TRANSCRIPTION, transcription_realtime.transcribe
    ),
    Route("POST", "/v1/audio/transcriptions", Endpoint.TRANSCRIPTION, Scope.TRANSCRIPTION, transcription.transcribe),
    Route("POST", "/v1/client/sessions", Endpoint.CLIENT_SESSIONS, Scope.TRANSCRIPTION, client_sessions.create),
)


def make_app(simulator: Simulator) -> web.Application:
    """Return the application: Mistral's API, the admin endpoints under `/_simulator/`, health and metrics."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handle(simulator, route))
    app.add_subapp("/_simulator", admin.make_app(simulator))
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/readyz", _healthy)
    app.router.add_get("/metrics", _metrics(simulator))

    async def close_sockets(_: web.Application) -> None:
        sockets = list(simulator.sockets)
        await asyncio.gather(*(entry.websocket.close(code=WSCloseCode.GOING_AWAY) for entry in sockets), return_exceptions=True)

    app.on_shutdown.append(close_sockets)
    return app


@contextlib.asynccontextmanager
async def serving(simulator: Simulator, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve the simulator while the context lasts; yields the bound port. Raises OSError if it can't be bound."""
    # A request that hangs on purpose ends when its client goes.
    runner = web.AppRunner(make_app(simulator), access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
        await simulator.temperament.close()


def _handle(simulator: Simulator, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        call = await arrive(simulator, request, route.endpoint, route.scope)
        try:
            response = await _answer(call, route.handler)
            call.record.status = response.status
            return response
        finally:
            simulator.recorder.close(call.record)
            simulator.metrics.requests.labels(route.endpoint, str(call.record.status or 0)).inc()
            logger.debug(
                "request",
                extra=fields(endpoint=route.endpoint, key_id=call.record.key_id, status=call.record.status, fault=call.record.fault),
            )

    return handle


async def _answer(call: Call, handler: Handler) -> web.StreamResponse:
    try:
        return await admit(call) or await handler(call)
    except ApiError as error:
        return web.Response(
            status=error.status,
            body=msgspec.json.encode(error.body),
            content_type="application/json",
            headers={**error.headers, **call.id_header},
        )
    except ConnectionError:
        return web.Response(status=_CLIENT_GONE)
    except StreamEndedError:
        if call.open_stream is None:
            return web.Response(status=500)
        with contextlib.suppress(ConnectionError):
            await call.open_stream.write_eof()
        return call.open_stream


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _metrics(simulator: Simulator) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def metrics(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(simulator.metrics.registry), headers={"Content-Type": content_type})

    return metrics
