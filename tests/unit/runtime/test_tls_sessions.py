"""Which connections go on from a TLS session of before."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from mistral_voice.runtime.tls_sessions import resume_sessions

HELLO = b"hello\n"


def served_by(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    resume_sessions(context)
    return context


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


@asynccontextmanager
async def connection(port: int, context: ssl.SSLContext) -> AsyncIterator[bool]:
    """Connect and be greeted; yields whether a session of before goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    assert await reader.readline() == HELLO
    yield writer.get_extra_info("ssl_object").session_reused
    writer.close()
    await writer.wait_closed()


async def test_later_connections_go_on_from_the_session_of_one_that_ended_or_still_stands() -> None:
    authority = trustme.CA()
    client = trusting(authority)
    async with server(served_by(authority)) as port:
        async with connection(port, client) as goes_on:
            assert not goes_on
        async with connection(port, client) as second, connection(port, client) as third:
            assert second
            assert third


async def test_another_client_begins_anew() -> None:
    authority = trustme.CA()
    first, second = trusting(authority), trusting(authority)
    async with server(served_by(authority)) as port, connection(port, first), connection(port, second) as goes_on:
        assert not goes_on


async def test_a_server_that_knows_no_session_begins_a_new_one() -> None:
    authority = trustme.CA()
    client = trusting(authority)
    for _ in range(2):
        async with server(served_by(authority)) as port, connection(port, client) as goes_on:
            assert not goes_on


async def test_who_is_not_trusted_is_not_trusted_for_the_session_of_another() -> None:
    authority = trustme.CA()
    client = trusting(authority)
    async with server(served_by(authority)) as port, connection(port, client):
        pass
    async with server(served_by(trustme.CA())) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=client)
