"""The simulator's own endpoints, under `/_simulator/`: scripts, keys, faults, recordings."""

import hmac
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import msgspec
from aiohttp import web

from mistral_voice.contract.credential import CredentialError, parse_api_key
from mistral_voice.runtime.close_reason import close_reason
from mistral_voice.simulator.catalogue import Model, model_json
from mistral_voice.simulator.core import Simulator
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.faults import Endpoint, Fault
from mistral_voice.simulator.keys import ALL_SCOPES, DEFAULT_DOMAIN, DomainLimits, Key, KeyState, Scope
from mistral_voice.simulator.script import ScriptInUse, parse_script, script_json
from mistral_voice.simulator.voices import Voice

MAX_SCRIPTS = 10_000
MAX_KEYS = 10_000
MAX_FAULTS = 1_000
MAX_CARDS = 10_000
"""Models, and voices."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: str | None = None
    scopes: list[Scope] | None = None
    state: KeyState | None = None
    domain: str | None = None


class _LimitsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class _CloseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: Endpoint | None = None
    key_id: str | None = None
    session: str | None = None
    code: int = 1011
    reason: str = ""
    abort: bool = False


def make_app(simulator: Simulator) -> web.Application:
    """Return the admin application. With an admin token it wants that as a bearer; without one it answers only to loopback."""
    app = web.Application(middlewares=[_guard(simulator), _sentences])
    admin = _Admin(simulator)
    app.router.add_get("/", admin.summary)
    for path in ("/script", "/keys/{key_id}/script", "/sessions/{session}/script"):
        app.router.add_get(path, admin.get_script)
        app.router.add_put(path, admin.put_script)
        app.router.add_delete(path, admin.delete_script)
    app.router.add_get("/keys", admin.list_keys)
    app.router.add_put("/keys/{key_id}", admin.put_key)
    app.router.add_patch("/keys/{key_id}", admin.patch_key)
    app.router.add_delete("/keys/{key_id}", admin.delete_key)
    app.router.add_put("/domains/{domain}", admin.put_domain)
    app.router.add_get("/faults", admin.list_faults)
    app.router.add_post("/faults", admin.add_fault)
    app.router.add_delete("/faults", admin.clear_faults)
    app.router.add_delete("/faults/{fault_id}", admin.delete_fault)
    app.router.add_get("/requests", admin.list_requests)
    app.router.add_delete("/requests", admin.clear_requests)
    app.router.add_get("/sockets", admin.list_sockets)
    app.router.add_post("/sockets/close", admin.close_sockets)
    app.router.add_get("/dialect", admin.get_dialect)
    app.router.add_patch("/dialect", admin.patch_dialect)
    app.router.add_put("/models/{model_id}", admin.put_model)
    app.router.add_delete("/models/{model_id}", admin.delete_model)
    app.router.add_put("/voices/{voice_id}", admin.put_voice)
    app.router.add_delete("/voices/{voice_id}", admin.delete_voice)
    return app


class _Admin:
    """The handlers."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def summary(self, _: web.Request) -> web.StreamResponse:
        simulator = self._simulator
        return _json(
            {
                "keys": len(simulator.keys.all()),
                "faults": len(simulator.faults.all()),
                "sockets": len(simulator.sockets),
                "scripts": {"keys": sorted(simulator.scripts.by_key), "sessions": sorted(simulator.scripts.by_session)},
            }
        )

    async def get_script(self, request: web.Request) -> web.StreamResponse:
        scripts, name = self._scripts(request)
        if scripts is None:
            return _json(script_json(self._simulator.scripts.default.script))
        if name not in scripts:
            raise _missing(f"There is no script for {name!r}.")
        return _json(script_json(scripts[name].script))

    async def put_script(self, request: web.Request) -> web.StreamResponse:
        script = ScriptInUse(parse_script(await request.read()))
        scripts, name = self._scripts(request)
        if scripts is None:
            self._simulator.scripts.default = script
        elif name not in scripts and len(scripts) >= MAX_SCRIPTS:
            raise _too_many(f"There are {MAX_SCRIPTS} scripts already; delete some.")
        else:
            scripts[name] = script
        return _json(script_json(script.script))

    async def delete_script(self, request: web.Request) -> web.StreamResponse:
        scripts, name = self._scripts(request)
        if scripts is None:
            self._simulator.scripts.default = ScriptInUse(parse_script(b"{}"))
        else:
            scripts.pop(name, None)
        return _no_content()

    def _scripts(self, request: web.Request) -> tuple[dict[str, ScriptInUse] | None, str]:
        if "key_id" in request.match_info:
            return self._simulator.scripts.by_key, request.match_info["key_id"]
        if "session" in request.match_info:
            return self._simulator.scripts.by_session, request.match_info["session"]
        return None, ""

    async def list_keys(self, _: web.Request) -> web.StreamResponse:
        limits = self._simulator.keys.limits()
        return _json(
            [
                {
                    "id": key.id,
                    "state": key.state,
                    "scopes": sorted(key.scopes),
                    "domain": key.domain,
                    "limits": _limits_json(limits.get(key.domain, DomainLimits())),
                }
                for key in self._simulator.keys.all()
            ]
        )

    async def put_key(self, request: web.Request) -> web.StreamResponse:
        body: _KeyBody = msgspec.json.decode(await request.read(), type=_KeyBody)
        key_id = request.match_info["key_id"]
        if body.value is None:
            raise ValueError("Give the key's `value`.")
        known = {key.id for key in self._simulator.keys.all()}
        if key_id not in known and len(known) >= MAX_KEYS:
            raise _too_many(f"There are {MAX_KEYS} keys already; delete some.")
        key = Key(
            key_id,
            parse_api_key(body.value.encode()).secret,
            ALL_SCOPES if body.scopes is None else frozenset(body.scopes),
            body.state or KeyState.VALID,
            body.domain or DEFAULT_DOMAIN,
        )
        self._simulator.keys.put(key)
        return _json(_key_json(key))

    async def patch_key(self, request: web.Request) -> web.StreamResponse:
        body: _KeyBody = msgspec.json.decode(await request.read(), type=_KeyBody)
        key_id = request.match_info["key_id"]
        if body.value is not None:
            raise ValueError("A key's `value` can't be changed; put the key anew.")
        if key_id not in {key.id for key in self._simulator.keys.all()}:
            raise _missing(f"There is no key {key_id!r}.")
        return _json(_key_json(self._simulator.keys.change(key_id, state=body.state, scopes=body.scopes, domain=body.domain)))

    async def delete_key(self, request: web.Request) -> web.StreamResponse:
        self._simulator.keys.remove(request.match_info["key_id"])
        return _no_content()

    async def put_domain(self, request: web.Request) -> web.StreamResponse:
        body: _LimitsBody = msgspec.json.decode(await request.read(), type=_LimitsBody)
        limits = DomainLimits(body.requests_per_minute, body.tokens_per_minute)
        self._simulator.keys.limit(request.match_info["domain"], limits)
        return _json(_limits_json(limits))

    async def list_faults(self, _: web.Request) -> web.StreamResponse:
        return _json([msgspec.to_builtins(fault) for fault in self._simulator.faults.all()])

    async def add_fault(self, request: web.Request) -> web.StreamResponse:
        if len(self._simulator.faults.all()) >= MAX_FAULTS:
            raise _too_many(f"There are {MAX_FAULTS} faults already; delete some.")
        fault = msgspec.json.decode(await request.read(), type=Fault)
        return _json(msgspec.to_builtins(self._simulator.faults.add(fault)), status=201)

    async def clear_faults(self, _: web.Request) -> web.StreamResponse:
        self._simulator.faults.clear()
        return _no_content()

    async def delete_fault(self, request: web.Request) -> web.StreamResponse:
        self._simulator.faults.remove(request.match_info["fault_id"])
        return _no_content()

    async def list_requests(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        after = query.get("after", "0")
        if not after.isdigit():
            raise ValueError("`after` must be a record's `seq`.")
        records = self._simulator.recorder.find(
            key_id=query.get("key_id"), endpoint=query.get("endpoint"), session=query.get("session"), after=int(after)
        )
        return _json([msgspec.to_builtins(record) for record in records])

    async def clear_requests(self, _: web.Request) -> web.StreamResponse:
        self._simulator.recorder.clear()
        return _no_content()

    async def list_sockets(self, _: web.Request) -> web.StreamResponse:
        return _json([{"endpoint": entry.endpoint, "key_id": entry.key_id, "session": entry.session} for entry in self._simulator.sockets])

    async def close_sockets(self, request: web.Request) -> web.StreamResponse:
        body: _CloseBody = msgspec.json.decode(await request.read() or b"{}", type=_CloseBody)
        chosen = [
            entry
            for entry in self._simulator.sockets
            if body.endpoint in (None, entry.endpoint) and body.key_id in (None, entry.key_id) and body.session in (None, entry.session)
        ]
        for entry in chosen:
            if body.abort:
                entry.abort()
            else:
                await entry.websocket.close(code=body.code, message=close_reason(body.reason))
        return _json({"closed": len(chosen)})

    async def get_dialect(self, _: web.Request) -> web.StreamResponse:
        return _json(msgspec.to_builtins(self._simulator.dialect))

    async def patch_dialect(self, request: web.Request) -> web.StreamResponse:
        changes = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self._simulator.dialect = msgspec.convert({**msgspec.to_builtins(self._simulator.dialect), **changes}, type=Dialect)
        return _json(msgspec.to_builtins(self._simulator.dialect))

    async def put_model(self, request: web.Request) -> web.StreamResponse:
        card = {**msgspec.json.decode(await request.read(), type=dict[str, Any]), "id": request.match_info["model_id"]}
        model = msgspec.convert(card, type=Model)
        if len(self._simulator.catalogue.listing(aliases_listed=False)) >= MAX_CARDS:
            raise _too_many(f"There are {MAX_CARDS} models already; delete some.")
        self._simulator.catalogue.put(model)
        return _json(model_json(model))

    async def delete_model(self, request: web.Request) -> web.StreamResponse:
        self._simulator.catalogue.remove(request.match_info["model_id"])
        return _no_content()

    async def put_voice(self, request: web.Request) -> web.StreamResponse:
        card = {**msgspec.json.decode(await request.read(), type=dict[str, Any]), "id": request.match_info["voice_id"]}
        voice = msgspec.convert(card, type=Voice)
        if len(self._simulator.voices.select()) >= MAX_CARDS:
            raise _too_many(f"There are {MAX_CARDS} voices already; delete some.")
        self._simulator.voices.put(voice)
        return _json(msgspec.to_builtins(voice))

    async def delete_voice(self, request: web.Request) -> web.StreamResponse:
        self._simulator.voices.remove(request.match_info["voice_id"])
        return _no_content()


def _guard(simulator: Simulator) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if simulator.admin_token is not None:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {simulator.admin_token.reveal()}".encode()):
                return _json({"message": "The admin endpoints want the admin token as a bearer."}, status=401)
        elif not _is_loopback(request.remote):
            return _json({"message": "Without an admin token the admin endpoints answer only to loopback."}, status=403)
        return await handler(request)

    return guard


@web.middleware
async def _sentences(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer bad input with a sentence."""
    try:
        return await handler(request)
    except (msgspec.MsgspecError, CredentialError, ValueError) as error:
        return _json({"message": str(error)}, status=400)


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False


def _json(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(data), status=status, content_type="application/json")


def _no_content() -> web.Response:
    return web.Response(status=204)


def _missing(message: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=msgspec.json.encode({"message": message}).decode(), content_type="application/json")


def _too_many(message: str) -> web.HTTPConflict:
    return web.HTTPConflict(text=msgspec.json.encode({"message": message}).decode(), content_type="application/json")


def _key_json(key: Key) -> Any:
    return {"id": key.id, "state": key.state, "scopes": sorted(key.scopes), "domain": key.domain}


def _limits_json(limits: DomainLimits) -> Any:
    return {"requests_per_minute": limits.requests_per_minute, "tokens_per_minute": limits.tokens_per_minute}
