"""What exists and who asks: models, voices, whoami. Nothing here costs anything."""

import base64
import math
from typing import Any

import msgspec
from aiohttp import web

from mistral_voice.simulator.call import Call
from mistral_voice.simulator.catalogue import model_json
from mistral_voice.simulator.errors import not_found, unprocessable
from mistral_voice.simulator.voices import Voice

MAX_PAGE = 1_000


async def list_models(call: Call) -> web.StreamResponse:
    """`GET /v1/models`."""
    listing = call.simulator.catalogue.listing(aliases_listed=call.simulator.dialect.aliases_listed)
    wanted = call.request.query.get("model")
    return call.json({"object": "list", "data": [model_json(model) for model in listing if wanted in (None, model.id)]})


async def get_model(call: Call) -> web.StreamResponse:
    """`GET /v1/models/{id}`, by id or alias."""
    name = call.request.match_info["model_id"]
    model = call.simulator.catalogue.find(name)
    if model is None:
        raise not_found(f"Model {name} not found.")
    return call.json(model_json(model))


async def whoami(call: Call) -> web.StreamResponse:
    """`GET /v1/whoami`: the workspace is named after the key's rate-limit domain."""
    key_id = call.key.id if call.key else ""
    domain = call.key.domain if call.key else ""
    return call.json(
        {
            "principal": {"principal_type": "service_account", "service_account_id": _uuid(key_id), "name": key_id},
            "organization": {
                "id": _uuid("organization"),
                "name": "Simulated organization",
                "org_tier": None,
                "internal": False,
                "kind": "S",
            },
            "workspace": {"id": _uuid(domain), "name": domain},
        }
    )


async def list_voices(call: Call) -> web.StreamResponse:
    """`GET /v1/audio/voices?limit&offset&type`."""
    limit, offset = _number(call, "limit", 10, 1, MAX_PAGE), _number(call, "offset", 0, 0, 1_000_000)
    voices = call.simulator.voices.select(_voice_type(call))
    return call.json(
        {
            "items": [_voice_json(voice) for voice in voices[offset : offset + limit]],
            "total": len(voices),
            "page": offset // limit + 1,
            "page_size": limit,
            "total_pages": math.ceil(len(voices) / limit),
        }
    )


async def list_voices_v2(call: Call) -> web.StreamResponse:
    """`GET /v2/audio/voices?page_size&page_token&type&gender&language&query&kind`."""
    size = _number(call, "page_size", 20, 1, MAX_PAGE)
    start = _page_start(call)
    voices = [voice for voice in call.simulator.voices.select(_voice_type(call)) if _passes_filters(call, voice)]
    more = start + size < len(voices)
    return call.json(
        {
            "data": [_voice_json(voice) for voice in voices[start : start + size]],
            "next_page_token": base64.urlsafe_b64encode(f"after:{start + size}".encode()).decode() if more else None,
        }
    )


async def get_voice(call: Call) -> web.StreamResponse:
    """`GET /v1/audio/voices/{id}`, by id or slug."""
    name = call.request.match_info["voice_id"]
    voice = call.simulator.voices.find(name)
    if voice is None:
        raise not_found(f"Voice '{name}' not found.")
    return call.json(_voice_json(voice))


def _voice_json(voice: Voice) -> Any:
    return msgspec.to_builtins(voice)


def _voice_type(call: Call) -> str:
    voice_type = call.request.query.get("type", "all")
    if voice_type not in ("all", "custom", "preset"):
        raise unprocessable(
            call.simulator.dialect, ("query", "type"), "Input should be 'all', 'custom' or 'preset'", "literal_error", voice_type
        )
    return voice_type


def _passes_filters(call: Call, voice: Voice) -> bool:
    query = call.request.query
    genders, languages = query.getall("gender", []), query.getall("language", [])
    text = query.get("query", "").lower()
    return (
        (not genders or voice.gender in genders)
        and (not languages or any(known == wanted or known.startswith(f"{wanted}_") for known in voice.languages for wanted in languages))
        and (not text or text in f"{voice.name} {voice.slug} {' '.join(voice.tags or [])}".lower())
        and query.get("kind", voice.kind) == voice.kind
    )


def _page_start(call: Call) -> int:
    token = call.request.query.get("page_token")
    if not token:
        return 0
    try:
        name, _, start = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if name == "after" and start.isdigit():
            return int(start[:9])
    except ValueError:
        pass
    raise unprocessable(call.simulator.dialect, ("query", "page_token"), "Invalid page token", "value_error", token)


def _number(call: Call, name: str, default: int, least: int, most: int) -> int:
    given = call.request.query.get(name)
    if given is None:
        return default
    if not given.isdigit() or not least <= int(given[:9]) <= most:
        raise unprocessable(call.simulator.dialect, ("query", name), f"Input should be from {least} to {most}", "int_parsing", given)
    return int(given[:9])


def _uuid(name: str) -> str:
    """Return an identifier that is always the same for a name."""
    from uuid import NAMESPACE_URL, uuid5

    return str(uuid5(NAMESPACE_URL, f"mistral-voice-simulator/{name}"))
