"""The stream of integrations where the API server or the watch fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from mistral_voice.contract import names
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.controller.streams import IntegrationStream
from mistral_voice.kube.client import Client
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.workqueue import Backoff
from tests.support.waiting import eventually
from tests.unit.kube.loopback import access_to, serving

FIRST, SECOND = ObjectKey("team", "first"), ObjectKey("team", "second")
VERBS = ["get", "list", "watch", "patch"]
RESOURCE = {"name": names.PLURAL, "kind": names.KIND, "singularName": names.KIND.lower(), "namespaced": True, "verbs": VERBS}
NAMESPACES = {"name": "namespaces", "kind": "Namespace", "singularName": "namespace", "namespaced": False, "verbs": VERBS}
GROUP_VERSION = {"groupVersion": names.API_VERSION, "version": names.VERSION}


class ApiOfIntegrations:
    """Lists what is in `present`. Of the watches, the first do as `watches` say, the others stay silent."""

    def __init__(self, *watches: dict[str, Any] | int) -> None:
        self.present = [FIRST]
        self.watches = list(watches)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/api":
                return web.json_response({"versions": ["v1"]})
            case "/api/v1":
                return web.json_response({"resources": [NAMESPACES]})
            case "/apis":
                group = {"name": names.GROUP, "versions": [GROUP_VERSION], "preferredVersion": GROUP_VERSION}
                return web.json_response({"groups": [group]})
            case path if path == f"/apis/{names.API_VERSION}":
                return web.json_response({"resources": [RESOURCE]})
        return await self._watch(request) if "watch" in request.query else web.json_response(self._list())

    def _list(self) -> dict[str, Any]:
        items = [
            {"metadata": {"namespace": key.namespace, "name": key.name, "uid": f"u-{key.name}", "resourceVersion": "7", "generation": 1}}
            for key in self.present
        ]
        return {"kind": f"{names.KIND}List", "apiVersion": names.API_VERSION, "metadata": {"resourceVersion": "9"}, "items": items}

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        told = self.watches.pop(0) if self.watches else None
        if isinstance(told, int):
            return web.json_response({"kind": "Status", "code": told}, status=told)
        response = web.StreamResponse()
        await response.prepare(request)
        if told is not None:
            self.present.append(SECOND)
            await response.write(json.dumps(told).encode() + b"\n")
        await asyncio.Event().wait()
        return response


@asynccontextmanager
async def following(
    api: ApiOfIntegrations, folder: Path, sweep_seconds: float = 600.0, doubt_seconds: float = 30.0
) -> AsyncIterator[tuple[IntegrationStore, IntegrationStream]]:
    """Follow the integrations of a scripted API server while the context lasts."""
    store, stopped = IntegrationStore(), asyncio.Event()

    def changed(key: ObjectKey, *, low: bool = False) -> None:
        """Nobody visits."""

    async with serving(api.answer) as server:
        access = await access_to(server, folder)
        async with Client(access) as client, asyncio.TaskGroup() as group:
            backoff = Backoff(base_seconds=0.01, max_seconds=0.1)
            stream = IntegrationStream(client, store, changed, backoff=backoff, sweep_seconds=sweep_seconds, doubt_seconds=doubt_seconds)
            running = group.create_task(stream.run(access, stopped, lambda: None))
            await eventually(lambda: FIRST in list(store), "the first integration")
            yield store, stream
            assert not running.done()
            stopped.set()


async def test_an_error_in_the_watch_that_kopf_takes_for_fatal_only_makes_it_begin_anew(tmp_path: Path) -> None:
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd is away"}}
    async with following(ApiOfIntegrations(error), tmp_path) as (store, _):
        await eventually(lambda: SECOND in list(store), "what came in the meantime")


async def test_a_right_that_is_missing_for_a_while_is_waited_out(tmp_path: Path) -> None:
    api = ApiOfIntegrations(403, 403, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}})
    async with following(api, tmp_path):
        await eventually(lambda: SECOND in api.present, "the watch that is allowed")


async def test_a_deaf_watch_is_found_out_by_the_sweep_and_begins_anew(tmp_path: Path) -> None:
    api = ApiOfIntegrations()
    async with following(api, tmp_path, sweep_seconds=0.05, doubt_seconds=0.05) as (store, _):
        api.present.append(SECOND)
        await eventually(lambda: SECOND in list(store), "what the watch never told")


async def test_the_sweeps_lists_are_no_sign_of_life_of_the_watch(tmp_path: Path) -> None:
    async with following(ApiOfIntegrations(), tmp_path, sweep_seconds=0.01) as (_, stream):
        await eventually(lambda: stream.age_seconds() > 0.3, "the watch's silence to show")
