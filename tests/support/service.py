"""What a Service does: connections to one port go to one of several, in turn, and to none that is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Service:
    """Passes bytes on. `backends` are ports on loopback; what is taken out of it gets no new connections."""

    def __init__(self) -> None:
        self.port = 0
        self.backends: list[int] = []
        self._turn = 0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            upstream_reader, upstream_writer = await self._connected()
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_copy(reader, upstream_writer))
            ways.create_task(_copy(upstream_reader, writer))

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self.backends)):
            self._turn += 1
            port = self.backends[self._turn % len(self.backends)]
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise OSError("nobody is there")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def running_service() -> AsyncIterator[Service]:
    """Run a Service without backends on a free loopback port while the context lasts."""
    service = Service()
    server = await asyncio.start_server(service.pass_on, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
