"""A proxy in front of the API server that tests can cut, and that can forget resourceVersions."""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from mistral_voice.kube.access import Access, open_session

_EXPIRED = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "message": "too old resource version",
    "reason": "Expired",
    "code": 410,
}
_DROPPED = {"host", "connection", "transfer-encoding", "content-length"}


class Proxy:
    """Speaks plain HTTP on loopback and passes everything on with the rights of `access`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._streams: set[asyncio.Task[None]] = set()
        self._open = True
        self._forgetful = False
        self._stack = AsyncExitStack()
        self._upstream: aiohttp.ClientSession
        self.url = ""
        self.gone_answers = 0

    def cut(self) -> None:
        """Break every connection and let none through."""
        self._open = False
        for stream in self._streams:
            stream.cancel()

    def mend(self) -> None:
        """Let requests through again."""
        self._open = True

    def forget_versions(self) -> None:
        """Answer watches with 410 until somebody lists."""
        self._forgetful = True

    async def __aenter__(self) -> Self:
        self._upstream = await self._stack.enter_async_context(open_session(self._access, limit=0))
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if not self._open:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        is_watch = "watch" in request.query
        if is_watch and self._forgetful:
            self.gone_answers += 1
            return web.json_response(_EXPIRED, status=410)
        self._forgetful = False
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        async with self._upstream.request(
            request.method, self._access.server + request.raw_path, headers=headers, data=await request.read()
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
            await response.prepare(request)
            copying = asyncio.create_task(self._copy(answer, response))
            self._streams.add(copying)
            try:
                await copying
            except asyncio.CancelledError:
                if request.transport is not None:
                    request.transport.abort()
                raise
            finally:
                self._streams.discard(copying)
            return response

    async def _copy(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
