"""The REST client against the simulated Mistral and against servers that misbehave."""

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.errors import InvalidAnswer, MistralError, NotFound, RateLimited, RequestRefused, ServerTrouble, Unauthorized
from mistral_voice.mistral.rest import MistralRest, open_http
from mistral_voice.mistral.rest.failures import LONGEST_RETRY_AFTER_SECONDS, retry_after_seconds
from tests.support.simulator import TEST_KEY, SimulatorHandle, running_simulator


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as running:
        yield running


@asynccontextmanager
async def client(base_url: str, key: str = TEST_KEY) -> AsyncIterator[MistralRest]:
    async with open_http() as http:
        yield MistralRest(http, base_url, Secret(key))


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve these raw answers, one a connection, the last again and again; yields the base URL and the requests."""
    left, requests = list(answers), list[bytes]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


def ok(body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n".encode() + body


async def test_models_come_with_what_they_can_do(mistral: SimulatorHandle) -> None:
    async with client(mistral.base_url) as rest:
        models = await rest.models()
    chat = next(model for model in models if model.answers_to("mistral-medium-latest"))
    assert chat.capabilities.completion_chat is True
    assert chat.capabilities.audio_speech is False
    retired = next(model for model in models if model.id == "mistral-large-2407")
    assert retired.retires_at == datetime(2025, 3, 30, 12, tzinfo=UTC)


async def test_voice_is_found_or_not(mistral: SimulatorHandle) -> None:
    async with client(mistral.base_url) as rest:
        found = await rest.find_voice("fr_marie_neutral")
        assert found is not None
        assert found.id == "5a271406-039d-46fe-835b-fbbb00eaf08d"
        assert await rest.find_voice("voice_0") is None


async def test_wrong_key_is_unauthorized(mistral: SimulatorHandle) -> None:
    async with client(mistral.base_url, key="wrong") as rest:
        for question in (rest.whoami, rest.models):
            with pytest.raises(Unauthorized):
                await question()


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (422, RequestRefused), (429, RateLimited), (503, ServerTrouble)])
async def test_statuses_are_errors_of_their_own(mistral: SimulatorHandle, status: int, error: type[Exception]) -> None:
    await mistral.add_fault("status", endpoint="models", status=status)
    async with client(mistral.base_url) as rest:
        with pytest.raises(error):
            await rest.models()


async def test_unknown_fields_and_cards_of_another_shape_pass() -> None:
    body = b'{"object":"list","new":1,"data":[{"id":"a","new":{}},{"id":7},"text",{"id":"b","aliases":null,"capabilities":{"sings":true}}]}'
    async with answering(ok(body)) as (url, _), client(url) as rest:
        assert [model.id for model in await rest.models()] == ["a", "b"]


@pytest.mark.parametrize("body", [b'{"data":[{"no":1}]}', b"[]", b"{}", b"", b"\xff\xfe", b'{"data":' + b"[" * 100_000, b"<html>"])
async def test_answers_of_another_shape_are_invalid(body: bytes) -> None:
    async with answering(ok(body)) as (url, _), client(url) as rest:
        with pytest.raises(InvalidAnswer):
            await rest.models()


async def test_endless_answer_is_cut_off() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 6
    async with answering(endless) as (url, _), client(url) as rest:
        with pytest.raises(InvalidAnswer, match="4 MiB"):
            await rest.models()


async def test_compressed_answer_that_nobody_asked_for_is_refused() -> None:
    body = gzip.compress(b'{"data":[]}')
    async with answering(ok(body, "Content-Encoding: gzip\r\n")) as (url, requests), client(url) as rest:
        with pytest.raises(InvalidAnswer):
            await rest.models()
    assert b"accept-encoding: identity" in requests[0].lower()


async def test_cookies_of_one_key_are_never_sent_with_another() -> None:
    answer = ok(b'{"data":[]}', "Set-Cookie: tenant=a; Path=/\r\n")
    async with answering(answer) as (url, requests), client(url) as rest:
        await rest.models()
        await rest.models()
    assert len(requests) == 2
    assert b"cookie" not in requests[1].lower()


async def test_list_of_voices_without_an_end_is_left() -> None:
    page = ok(b'{"data":[{"id":"a"}],"next_page_token":"again"}')
    async with answering(page) as (url, requests), client(url) as rest:
        with pytest.raises(InvalidAnswer, match="no end"):
            await rest.find_voice("b")
    assert len(requests) == 50


async def test_page_token_is_handed_back_as_it_came() -> None:
    first = ok(b'{"data":[{"id":"a"}],"next_page_token":"a/b&c=d+e"}')
    async with answering(first, ok(b'{"data":[]}')) as (url, requests), client(url) as rest:
        assert await rest.find_voice("b") is None
    assert b"page_token=a%2Fb%26c%3Dd%2Be" in requests[1]


async def test_older_listing_is_read_to_its_end() -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    pages = [ok(b'{"items":[{"id":"a"}],"total":2}'), ok(b'{"items":[{"id":"b"}],"total":2}')]
    async with answering(missing, *pages) as (url, requests), client(url) as rest:
        found = await rest.find_voice("b")
    assert found is not None
    assert b"offset=1 " in requests[2]  # The server decides how much a page holds.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("12", 12.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("99999999999", LONGEST_RETRY_AFTER_SECONDS),
        ("Sun, 22 Nov 2026 14:30:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 14:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}, datetime(2026, 11, 22, 14, 30, tzinfo=UTC)) == seconds


async def test_no_error_quotes_the_key_or_what_came() -> None:
    canary = "canary-key-4711"
    body = f'{{"detail":"Bearer {canary}"}}'.encode()
    for status in ("401 Unauthorized", "500 Oops", "422 No", "200 OK"):
        raw = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        async with answering(raw) as (url, _), client(url, key=canary) as rest:
            with pytest.raises(MistralError) as caught:
                await rest.models()
            assert canary not in repr(caught.value) + "".join(traceback.format_exception(caught.value))
