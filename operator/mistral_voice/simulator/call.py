"""One request on its way in: who asks, which fault it meets, whether it is let through."""

import asyncio
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from aiohttp import web

from mistral_voice.simulator.core import Simulator
from mistral_voice.simulator.errors import ApiError, SimulatorError, error_object, forbidden, rate_limited, unauthorized, unprocessable
from mistral_voice.simulator.faults import Endpoint, Fault, FaultKind, Garbage
from mistral_voice.simulator.keys import Key, KeyState, Scope
from mistral_voice.simulator.recording import Record, bounded
from mistral_voice.simulator.script import ScriptInUse

SESSION_HEADER = "x-simulator-session"
SESSION_QUERY = "simulator_session"
REALTIME_PROTOCOL = "realtime"
MAX_BODY_BYTES = 16 * 1024 * 1024


class StreamEndedError(SimulatorError):
    """The stream is over; nothing more can be sent."""


class ConnectionCutError(StreamEndedError):
    """The connection was cut on purpose; there is nobody left to answer."""


@dataclass
class Call:
    """A request that is being answered."""

    simulator: Simulator
    request: web.Request
    endpoint: Endpoint
    scope: Scope
    request_id: str
    record: Record
    body: bytes
    key: Key | None
    session: str | None
    model: str | None
    stream_fault: Fault | None = None
    rate_headers: dict[str, str] | None = None
    open_stream: web.StreamResponse | None = None
    """The stream that has begun; once it has, no other answer can be given."""

    @property
    def script(self) -> ScriptInUse:
        """The script that is played for this call."""
        return self.simulator.scripts.find(self.key.id if self.key else None, self.session)

    def decode(self, kind: type[Any]) -> Any:
        """Return the body as a message of this kind; raises a 422 about what is wrong with it."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unprocessable(self.simulator.dialect, ("body",), str(error)) from error

    def json(self, data: Any, status: int = 200) -> web.Response:
        """Return a JSON answer."""
        return web.Response(
            body=msgspec.json.encode(data),
            status=status,
            content_type="application/json",
            headers={**(self.rate_headers or {}), **self.id_header},
        )

    @property
    def id_header(self) -> dict[str, str]:
        """The header that names the request."""
        return {"x-request-id": self.request_id}


async def arrive(simulator: Simulator, request: web.Request, endpoint: Endpoint, scope: Scope) -> Call:
    """Take a request in: read its body, find its key and session, record it."""
    # A form is left to its handler: read here it could not be parsed there.
    body = await request.read() if request.can_read_body and request.content_type != "multipart/form-data" else b""
    bearer = _bearer(request)
    token = simulator.tokens.find(bearer) if bearer else None
    key = simulator.keys.find(bearer) if bearer else None
    if (
        token is not None
        and endpoint in (Endpoint.TRANSCRIPTION_REALTIME, Endpoint.SPEECH_REALTIME)
        and token.model == request.query.get("model")
    ):
        key = next((known for known in simulator.keys.all() if known.id == token.key_id), None)
    parsed = _json_object(body)
    session = request.headers.get(SESSION_HEADER) or request.query.get(SESSION_QUERY) or _text(parsed, "prompt_cache_key")
    model = request.query.get("model") or _text(parsed, "model")
    record = simulator.recorder.open(
        endpoint,
        method=request.method,
        path=request.path,
        query=dict(request.query),
        key_id=key.id if key else None,
        session=session[:200] if session else None,
    )
    record.model = model
    record.body = bounded(parsed) if parsed is not None else None
    return Call(simulator, request, endpoint, scope, simulator.request_id(), record, body, key, session, model)


async def admit(call: Call) -> web.Response | None:
    """Let a call through, or raise its refusal: the fault that is meant for it, its key's state, its scopes, its rate limit.

    Returns the answer that a garbage fault gives, else None.
    """
    garbled = await _meet_fault(call)
    if garbled is not None:
        return garbled
    key = call.key
    if key is None or key.state is KeyState.REVOKED:
        raise unauthorized(call.simulator.dialect, call.request_id)
    if key.state is KeyState.DISABLED:
        raise forbidden("This API key is disabled.")
    if call.scope not in key.scopes and not (call.scope is Scope.WHOAMI and call.simulator.dialect.whoami):
        raise forbidden(f"This API key has no access to {call.scope}.")
    within, headers = call.simulator.keys.spend(key.domain)
    call.rate_headers = headers
    if not within:
        raise rate_limited(headers)
    return None


async def _meet_fault(call: Call) -> web.Response | None:
    simulator = call.simulator
    fault = simulator.faults.take(call.endpoint, call.key.id if call.key else None, call.session, call.model)
    if fault is None:
        return None
    call.record.fault = fault.kind
    simulator.metrics.faults.labels(fault.kind).inc()
    if fault.strikes_stream():
        call.stream_fault = fault
        return None
    match fault.kind:
        case FaultKind.STATUS:
            raise status_error(call, fault)
        case FaultKind.SLOW:
            await simulator.clock.sleep_until(simulator.clock.now() + fault.strikes_after_ms / 1000)
        case FaultKind.HANG:
            await hang()
        case FaultKind.RESET:
            cut(call.request)
        case FaultKind.GARBAGE:
            return garbage(fault)
    return None


async def hang() -> NoReturn:
    """Never return; the client's disconnect or the shutdown cancels."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


def cut(request: web.Request) -> NoReturn:
    """Reset the connection."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionCutError("The connection was cut on purpose.")


_USUAL: dict[int, tuple[str, str, str | None]] = {
    403: ("Forbidden", "forbidden", "1100"),
    404: ("Not found", "not_found", "1404"),
    429: ("Rate limit exceeded", "rate_limited", "1300"),
    500: ("Internal server error", "internal_server_error", "1000"),
    502: ("Bad gateway", "bad_gateway", None),
    503: ("Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"),
}


def status_error(call: Call, fault: Fault) -> ApiError:
    """Return the refusal that a status fault asks for, with Mistral's usual body for that status."""
    headers = dict(fault.headers)
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(fault.retry_after_s)
    if fault.status == 429:
        headers = {"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "0", **headers}
    if fault.body is not None:
        return ApiError(fault.status, fault.body, headers)
    if fault.status == 401:
        return ApiError(401, unauthorized(call.simulator.dialect, call.request_id).body, headers)
    if fault.status == 422:
        return ApiError(422, unprocessable(call.simulator.dialect, ("body",), "Field required", "missing").body, headers)
    message, error_type, code = _USUAL.get(fault.status, (f"Status {fault.status}", "error", None))
    return ApiError(fault.status, error_object(message, error_type, code), headers)


def garbage(fault: Fault) -> web.Response:
    """Return the answer that is none."""
    match fault.garbage:
        case Garbage.INVALID_JSON:
            return web.Response(body=b'{"object": "list", "data": [', content_type="application/json")
        case Garbage.WRONG_CONTENT_TYPE:
            return web.Response(text="<!doctype html><title>Welcome</title><p>Please log in.", content_type="text/html")
        case Garbage.WRONG_SHAPE:
            return web.Response(body=b'[1, "two", null]', content_type="application/json")
        case Garbage.OVERSIZED:
            padding = b" " * max(0, fault.size_bytes - 2)
            return web.Response(body=b"{" + padding + b"}", content_type="application/json")


def _bearer(request: web.Request) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    protocols = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if len(protocols) == 2 and protocols[0] == REALTIME_PROTOCOL:
        return protocols[1]
    return None


def _json_object(body: bytes) -> dict[str, Any] | None:
    if not body.startswith((b"{", b" ", b"\n")):
        return None
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _text(parsed: dict[str, Any] | None, name: str) -> str | None:
    value = parsed.get(name) if parsed else None
    return value if isinstance(value, str) and value else None
