"""Traces of sessions and turns to an OpenTelemetry collector, if one is configured. Without, nothing of OpenTelemetry is loaded.

A trace tells when things happened and how they ended, never what was said, by whom, or with which secret.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mistral_voice.contract.gateway_config import Integration

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

PATH = "/v1/traces"
_EXPORT_SECONDS = 3.0
_FAREWELL_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Tracer:
    """Starts spans. They are sent in batches, by a thread of OpenTelemetry's own."""

    def __init__(self, provider: "TracerProvider", integration: Integration) -> None:
        self._tracer = provider.get_tracer("mistral_voice.gateway")
        self._attributes = {
            "mistral_voice.namespace": integration.namespace,
            "mistral_voice.integration": integration.name,
            "mistral_voice.mode": integration.mode,
        }

    def start(self, name: str, parent: "Span | None" = None, **attributes: str | bool) -> "Span":
        """Start a span now; end it yourself."""
        from opentelemetry.context import Context
        from opentelemetry.trace import set_span_in_context

        context = Context() if parent is None else set_span_in_context(parent, Context())
        named = {f"mistral_voice.{key}": value for key, value in attributes.items()}
        return self._tracer.start_span(name, context, attributes={**self._attributes, **named})


@asynccontextmanager
async def tracing(endpoint: str | None, integration: Integration) -> AsyncIterator[Tracer | None]:
    """Yield a tracer that sends to this collector (OTLP over HTTP), None without one. What is left is sent at the end, if it can be."""
    if endpoint is None:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource({"service.name": "mistral-voice-gateway", "service.namespace": integration.namespace})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint.rstrip("/") + PATH, timeout=_EXPORT_SECONDS)))
    _log.info("Traces are sent to %s.", endpoint)
    try:
        yield Tracer(provider, integration)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await asyncio.to_thread(provider.shutdown)
