"""A gateway's side of the session line, and of calls, by hand: for what no honest gateway does."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from mistral_voice.contract.lease import SESSION_LINE_PATH, FromBroker, Open, Opened, Refusal, decode
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
        async with self.http.ws_connect(self.url + SESSION_LINE_PATH, headers=headers, server_hostname="localhost") as socket:
            fields = {"model": CHAT, "voice": "voice_478", "transcription_model": HEARING, "speech_model": SPEECH} | wanted
            await socket.send_str(msgspec.json.encode(Open(session, epoch, **fields)).decode())
            yield OpenLine(socket, decode(await socket.receive_str(timeout=WAIT_SECONDS), FromBroker))  # type: ignore[arg-type]

    async def chat(self, ticket: str, *, url: str = "", path: str = "/v1/chat/completions", **rest: Any) -> tuple[int, str, dict[str, str]]:
        """Make a chat call; returns status, body and headers. `headers` and `body` may be given."""
        headers = {"Authorization": f"Bearer {ticket}", **rest.pop("headers", {})}
        body = {"model": CHAT, "messages": MESSAGES, "stream": True} | rest.pop("body", {})
        async with self.http.post(
            (url or self.url) + path, json=body, headers=headers, server_hostname="localhost", allow_redirects=False, **rest
        ) as answer:
            return answer.status, await answer.text(), dict(answer.headers)


@dataclass
class OpenLine:
    """A line, and what the broker answered first."""

    socket: aiohttp.ClientWebSocketResponse[bool]
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
        return decode(await self.socket.receive_str(timeout=WAIT_SECONDS), FromBroker)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def hand(url: str, ca_file: str, address: str = "127.0.0.1") -> AsyncIterator[Hand]:
    """Reach for a broker at `url`, from an address on loopback."""
    tls = ssl.create_default_context(cafile=ca_file)
    connector = aiohttp.TCPConnector(limit=0, ssl=tls, local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Hand(http, url)
