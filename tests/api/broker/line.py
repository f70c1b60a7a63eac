"""A gateway's side of the session line, and of calls, by hand: for what no honest gateway does."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from mistral_voice.contract.lease import SESSION_LINE_PATH, FromBroker, Open, Opened, Refusal, decode
from tests.support.gateway import Attentive
from tests.support.waiting import WAIT_SECONDS
from tests.unit.broker.given import CHAT, HEARING, SPEECH

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


@dataclass
class Hand:
    """An HTTP client that trusts the place's authority and comes from `address`."""

    http: aiohttp.ClientSession
    url: str

    @contextlib.asynccontextmanager
    async def line(self, token: str, session: str = "sess_1", epoch: int = 1, **wanted: Any) -> AsyncIterator["OpenLine"]:
        """Open a line and say what is wanted; yields it with the broker's first answer."""
        headers = {"Authorization": f"Bearer {token}"}
        async with await self._reached(headers) as socket:
            fields = {"model": CHAT, "voice": "voice_478", "transcription_model": HEARING, "speech_model": SPEECH} | wanted
            attentive = Attentive(socket)
            async with attentive.reading():
                await attentive.send_str(msgspec.json.encode(Open(session, epoch, **fields)).decode())
                yield OpenLine(attentive, await _next(attentive))

    async def _reached(self, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a socket. A broker whose API server is too busy to review a token says so, and wants to be asked again."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    return await self.http.ws_connect(self.url + SESSION_LINE_PATH, headers=headers, server_hostname="localhost")
                except aiohttp.WSServerHandshakeError as error:
                    if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        raise
                await asyncio.sleep(0.1)

    async def chat(self, ticket: str, *, url: str = "", path: str = "/v1/chat/completions", **rest: Any) -> tuple[int, str, dict[str, str]]:
        """Make a chat call; returns status, body and headers. `headers` and `body` may be given."""
        async with self.chatting(ticket, url=url, path=path, **rest) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    def chatting(
        self, ticket: str, *, url: str = "", path: str = "/v1/chat/completions", **rest: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Make a chat call of which the answer's begin is awaited."""
        headers = {"Authorization": f"Bearer {ticket}", **rest.pop("headers", {})}
        body = {"model": CHAT, "messages": MESSAGES, "stream": True} | rest.pop("body", {})
        return self.http.post(
            (url or self.url) + path, json=body, headers=headers, server_hostname="localhost", allow_redirects=False, **rest
        )


@dataclass
class OpenLine:
    """A line, and what the broker answered first."""

    socket: Attentive
    answer: FromBroker

    @property
    def opened(self) -> Opened:
        """The answer, which must be yes."""
        assert isinstance(self.answer, Opened), self.answer
        return self.answer

    @property
    def refused(self) -> Refusal:
        """The answer, which must be no."""
        assert isinstance(self.answer, Refusal), self.answer
        return self.answer

    async def next(self) -> FromBroker:
        """Return the next message."""
        return await _next(self.socket)


async def _next(socket: Attentive) -> FromBroker:
    async with asyncio.timeout(WAIT_SECONDS):
        message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return decode(message.data, FromBroker)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def hand(url: str, ca_file: str, address: str = "127.0.0.1") -> AsyncIterator[Hand]:
    """Reach for a broker at `url`, from an address on loopback."""
    tls = ssl.create_default_context(cafile=ca_file)
    connector = aiohttp.TCPConnector(limit=0, ssl=tls, local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Hand(http, url)
