"""Traces as a collector gets them: OTLP over HTTP, decoded by the protocol's own definitions."""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mistral_voice.runtime.health import serving
from tests.support.gateway import TOKEN, running_gateway
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech

QUESTION = "What is the capital of France?"


class Collector:
    """Keeps every span it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.raw = b""

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with serving(app, "127.0.0.1", 0) as port:
        yield collector, f"http://127.0.0.1:{port}"


def attributes(span: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in span.attributes}


async def test_a_session_is_a_trace_without_what_was_said(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with collecting() as (collector, endpoint):
        async with running_gateway(mistral, tmp_path, tracing_endpoint=endpoint) as gateway, gateway.connect() as client:
            await client.update(audio={"input": {"transcription": {}}})
            await client.say(speech(QUESTION) + silence(1200))
            done = await client.until("response.done")
            await mistral.add_fault("status", endpoint="chat", status=429, times=1)
            await client.send("response.create")
            await client.until("response.done")
            ids = [client.session["id"], done["response"]["id"], done["response"]["output"][0]["id"]]
        (session,) = collector.named("session")
        turn, failed = sorted(collector.named("turn"), key=lambda span: span.start_time_unix_nano)
        (transcription,) = collector.named("transcription")
        chat, refused = sorted(collector.named("chat"), key=lambda span: span.start_time_unix_nano)
        (spoken,) = collector.named("speech")
    assert session.parent_span_id == b""
    assert {span.trace_id for span in collector.spans} == {session.trace_id}
    assert {turn.parent_span_id, failed.parent_span_id} == {session.span_id}
    assert {transcription.parent_span_id, chat.parent_span_id, spoken.parent_span_id} == {turn.span_id}
    assert refused.parent_span_id == failed.span_id
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in collector.spans)
    assert [event.name for event in transcription.events] == ["committed"]
    assert [event.name for event in chat.events] == ["first_token"]
    assert [event.name for event in spoken.events] == ["first_audio"]
    assert attributes(chat)["mistral_voice.model"] == "mistral-medium-latest"
    assert attributes(turn)["mistral_voice.response_status"] == "completed"
    assert attributes(failed)["error.type"] == "rate_limited"
    assert attributes(session)["mistral_voice.end_reason"] == "client_closed"
    for span in collector.spans:
        told = attributes(span)
        assert (told["mistral_voice.namespace"], told["mistral_voice.integration"], told["mistral_voice.mode"]) == ("shop", "hello", "byok")
    for secret in (QUESTION, "capital", "Paris", TOKEN, mistral.key, *ids):
        assert secret.encode() not in collector.raw


async def test_a_collector_that_is_away_disturbs_nobody(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        running_gateway(mistral, tmp_path, tracing_endpoint="http://127.0.0.1:9") as gateway,
        gateway.connect() as client,
    ):
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    code = "import mistral_voice.gateway.main, sys; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
