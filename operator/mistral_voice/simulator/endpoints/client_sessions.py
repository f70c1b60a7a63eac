"""`POST /v1/client/sessions`: a short-lived token for a browser."""

import msgspec
from aiohttp import web

from mistral_voice.simulator.call import Call
from mistral_voice.simulator.catalogue import Ability
from mistral_voice.simulator.errors import invalid_model, unauthorized, unprocessable
from mistral_voice.simulator.tokens import DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS


class _Request(msgspec.Struct, frozen=True):
    model: str
    purpose: str = "realtime"
    ttl_seconds: int | None = None


async def create(call: Call) -> web.StreamResponse:
    """Answer 201 with a token for one model."""
    request: _Request = call.decode(_Request)
    dialect = call.simulator.dialect
    if request.purpose != "realtime":
        raise unprocessable(dialect, ("body", "purpose"), "Input should be 'realtime'", "literal_error", request.purpose)
    ttl = DEFAULT_TTL_SECONDS if request.ttl_seconds is None else request.ttl_seconds
    if not 1 <= ttl <= MAX_TTL_SECONDS:
        raise unprocessable(dialect, ("body", "ttl_seconds"), f"Input should be from 1 to {MAX_TTL_SECONDS}", "value_error", ttl)
    catalogue = call.simulator.catalogue
    if not any(catalogue.usable(request.model, ability) for ability in (Ability.TRANSCRIPTION_REALTIME, Ability.SPEECH)):
        raise invalid_model(request.model)
    if call.key is None:
        raise unauthorized(dialect, call.request_id)
    token = call.simulator.tokens.issue(call.key.id, request.model, ttl)
    expires_at = token.expires_at.isoformat()
    secret = {"value": token.value.reveal(), "expires_at": expires_at}
    return call.json({"object": "client.session", "purpose": "realtime", "expires_at": expires_at, "client_secret": secret}, status=201)
