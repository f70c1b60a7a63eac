"""What gets through a broker, and what does not: tickets, paths, headers, models, and Mistral's answers."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from msgspec import structs

from mistral_voice.broker.calls import BODIES_OF_NAMESPACE_BYTES, MAX_BODY_BYTES
from mistral_voice.broker.main import Broker
from mistral_voice.contract.lease import KeyOutcome, Unit
from tests.api.broker.line import MESSAGES, Hand, OpenLine, hand
from tests.api.broker.place import CANARY, Place
from tests.support.waiting import WAIT_SECONDS, eventually
from tests.unit.broker.given import CHAT, HEARING, SPEECH


@pytest.fixture
async def broker(place: Place) -> AsyncIterator[Broker]:
    async with place.broker() as broker:
        yield broker


@pytest.fixture
async def reach(place: Place, broker: Broker) -> AsyncIterator[Hand]:
    async with hand(f"https://127.0.0.1:{broker.port}", place.ca_file) as reach:
        yield reach


@pytest.fixture
async def line(place: Place, reach: Hand) -> AsyncIterator[OpenLine]:
    async with reach.line(await place.token(await place.tenant())) as line:
        yield line


async def test_a_ticket_is_good_as_long_as_its_line_stands(place: Place, reach: Hand) -> None:
    token = await place.token(await place.tenant())
    async with reach.line(token) as line:
        ticket = line.opened.ticket
        assert (await reach.chat(ticket))[0] == 200
    await eventually(lambda: place.control_plane.releases, "the release")
    assert (await reach.chat(ticket))[0] == 401


async def test_a_stolen_ticket_is_of_no_use_elsewhere(place: Place, broker: Broker, reach: Hand, line: OpenLine) -> None:
    ticket = line.opened.ticket
    async with hand(reach.url, place.ca_file, address="127.0.0.2") as thief:
        status, body, _ = await thief.chat(ticket)
        assert (status, "another pod" in body) == (401, True)
    async with place.broker("broker-1") as other:
        assert (await reach.chat(ticket, url=f"https://127.0.0.1:{other.port}"))[0] == 401
    assert (await reach.chat(ticket))[0] == 200


async def test_a_gateways_own_token_is_no_ticket_and_a_ticket_no_token(place: Place, reach: Hand) -> None:
    token = await place.token(await place.tenant())
    async with reach.line(token) as line:
        assert (await reach.chat(token))[0] == 401
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with reach.line(line.opened.ticket):
                raise AssertionError("the line was opened")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/whoami",
        "/v1/fim/completions",
        "/v1/conversations",
        "/v1/audio/transcriptions",
        "/v1/client/sessions",
        "/v1/chat/completions/",
        "/v1/chat/completions/../models",
        "/v1/chat%2Fcompletions",
        "//evil.example/v1/chat/completions",
        "/_simulator/requests",
        "/",
    ],
)
async def test_no_other_path_leads_anywhere(place: Place, reach: Hand, line: OpenLine, path: str) -> None:
    before = len(await place.mistral.requests())
    assert (await reach.chat(line.opened.ticket, path=path))[0] == 404
    async with reach.http.get(
        reach.url + path, headers={"Authorization": f"Bearer {line.opened.ticket}"}, server_hostname="localhost"
    ) as got:
        assert got.status in (404, 405)
    assert len(await place.mistral.requests()) == before


async def test_nothing_of_the_gateways_headers_goes_on(place: Place, reach: Hand, line: OpenLine) -> None:
    """Whatever says where to, or who asks, is made by the broker."""
    seen: list[dict[str, str]] = []

    async def record(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response(body=b"data: [DONE]\n\n", content_type="text/event-stream")

    async with recording(record) as url:
        session = next(iter(place.brokers[0].sessions))
        session.key = structs.replace(session.key, base_url=url)
        tricks = {
            "Host": "evil.example",
            "X-Forwarded-Host": "evil.example",
            "X-Api-Key": "mine",
            "Cookie": "a=b",
            "X-Mistral-Base-Url": "https://evil.example",
            "Forwarded": "host=evil.example",
            "Connection": "close, Authorization",
        }
        status, _, headers = await reach.chat(line.opened.ticket, headers=tricks)
    assert status == 200
    assert set(seen[0]) == {"Host", "Authorization", "Content-Type", "Accept", "Content-Length"}
    assert seen[0]["Authorization"] == f"Bearer {CANARY}"
    assert "evil" not in str(seen)
    assert CANARY not in str(headers)


@contextlib.asynccontextmanager
async def recording(handler: "object") -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(place: Place, reach: Hand, line: OpenLine) -> None:
    visits: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        visits.append(request.headers.get("Authorization", ""))
        return web.Response()

    async with recording(elsewhere) as evil:

        async def redirect(request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"{evil}/v1/chat/completions")

        async with recording(redirect) as url:
            session = next(iter(place.brokers[0].sessions))
            session.key = structs.replace(session.key, base_url=url)
            status, body, headers = await reach.chat(line.opened.ticket)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await reach.http.ws_connect(
                    f"{reach.url}/v1/audio/transcriptions/realtime?model={HEARING}",
                    headers={"Authorization": f"Bearer {line.opened.ticket}"},
                    server_hostname="localhost",
                )
    assert (status, refused.value.status) == (502, 502)
    assert visits == []
    assert "Location" not in headers
    assert evil not in body


async def test_models_and_voices_are_the_plans_wherever_they_are_named(place: Place, reach: Hand, line: OpenLine) -> None:
    ticket = line.opened.ticket
    assert (await reach.chat(ticket, body={"model": "mistral-large-4"}))[0] == 403
    assert (await reach.chat(ticket, path="/v1/chat/completions?model=mistral-large-4"))[0] == 400
    headers = {"Authorization": f"Bearer {ticket}"}
    for query, status in (
        ("model=mistral-medium-latest", 403),
        (f"model={HEARING}&model=other", 400),
        (f"model={HEARING}&base_url=https://evil.example", 400),
        ("", 400),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await reach.http.ws_connect(
                f"{reach.url}/v1/audio/transcriptions/realtime?{query}", headers=headers, server_hostname="localhost"
            )
        assert error.value.status == status


async def test_what_no_gateway_says_closes_the_socket(reach: Hand, line: OpenLine) -> None:
    headers = {"Authorization": f"Bearer {line.opened.ticket}"}
    url = f"{reach.url}/v1/audio/transcriptions/realtime?model={HEARING}"
    async with reach.http.ws_connect(url, headers=headers, server_hostname="localhost") as socket:
        await socket.send_str(json.dumps({"type": "session.update", "session": {"model": "other"}}))
        while (message := await socket.receive(timeout=WAIT_SECONDS)).type is WSMsgType.TEXT:
            continue
        assert message.data == 1008
        assert "model" in str(message.extra)


async def test_a_completion_has_the_connection_of_the_one_before_also_when_a_socket_was_opened_between(
    reach: Hand, line: OpenLine, place: Place
) -> None:
    asked_from: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            socket: web.WebSocketResponse[bool] = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            return socket
        assert request.transport is not None
        asked_from.append(request.transport.get_extra_info("peername")[1])
        return web.Response(text="data: [DONE]\n\n", content_type="text/event-stream")

    async with recording(answer) as url:
        session = next(iter(place.brokers[0].sessions))
        session.key = structs.replace(session.key, base_url=url)
        await reach.chat(line.opened.ticket)
        headers = {"Authorization": f"Bearer {line.opened.ticket}"}
        socket_url = f"{reach.url}/v1/audio/transcriptions/realtime?model={HEARING}"
        async with reach.http.ws_connect(socket_url, headers=headers, server_hostname="localhost"):
            await reach.chat(line.opened.ticket)
    assert len(asked_from) == 2
    assert len(set(asked_from)) == 1


@pytest.mark.parametrize(("status", "outcome"), [(401, KeyOutcome.REFUSED), (403, KeyOutcome.FORBIDDEN), (429, KeyOutcome.RATE_LIMITED)])
async def test_mistrals_refusals_pass_and_are_told_to_the_control_plane(
    place: Place, reach: Hand, line: OpenLine, status: int, outcome: KeyOutcome
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"message": f"Incorrect API key {CANARY}"}, status=status, headers={"Retry-After": "17", "X-Key": CANARY})

    async with recording(refuse) as url:
        session = next(iter(place.brokers[0].sessions))
        session.key = structs.replace(session.key, base_url=url)
        got, body, headers = await reach.chat(line.opened.ticket)
    assert (got, headers["Retry-After"]) == (status, "17")
    assert CANARY not in body + str(headers)
    report = await eventually(
        lambda: next((report for report in place.control_plane.reports if report.outcome is outcome), None), "the key's report"
    )
    assert report is not None
    assert report.retry_after_seconds == 17
    assert not report.was_probe
    assert session.meter.usage(0).amounts == (), "nothing was used"


async def test_a_completion_that_is_cut_off_is_counted_upward(place: Place, reach: Hand, line: OpenLine) -> None:
    await place.mistral.put_script({"chat": {"replies": [{"text": "word " * 2000, "token_ms": 5}]}})
    session = next(iter(place.brokers[0].sessions))
    headers = {"Authorization": f"Bearer {line.opened.ticket}"}
    body = {"model": "mistral-medium-latest", "messages": [{"role": "user", "content": "Speak."}], "stream": True}
    async with reach.http.post(reach.url + "/v1/chat/completions", json=body, headers=headers, server_hostname="localhost") as answer:
        await answer.content.readany()
        answer.close()
    await eventually(lambda: session.meter.estimated[Unit.INPUT_TOKENS] > 0, "the estimate")
    assert session.meter.estimated[Unit.OUTPUT_TOKENS] > 0


async def test_the_key_is_in_no_log_and_no_metric(
    place: Place, broker: Broker, reach: Hand, line: OpenLine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await place.mistral.add_fault("status", status=500, times=1)
    await reach.chat(line.opened.ticket)
    await reach.chat(line.opened.ticket)
    await reach.chat("nonsense")
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{broker.metrics_port}/metrics") as answer:
        metrics = await answer.text()
    assert "mistral_voice_broker_calls_total" in metrics
    for text in (metrics, caplog.text):
        assert CANARY not in text
        assert line.opened.ticket not in text


async def test_a_call_that_mistral_may_have_taken_is_counted_and_one_that_it_refused_is_not(
    place: Place, broker: Broker, reach: Hand, line: OpenLine
) -> None:
    session = next(iter(broker.sessions))
    speech = {"model": SPEECH, "input": "Bonjour", "voice_id": "voice_478", "response_format": "pcm", "stream": True}

    async def drop(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({}, status=500)

    async def say() -> int:
        url, headers = f"{reach.url}/v1/audio/speech", {"Authorization": f"Bearer {line.opened.ticket}"}
        async with reach.http.post(url, json=speech, headers=headers, server_hostname="localhost") as answer:
            return answer.status

    async with recording(refuse) as url:
        session.key = structs.replace(session.key, base_url=url)
        assert (await say(), (await reach.chat(line.opened.ticket))[0]) == (500, 500)
    session.key = structs.replace(session.key, base_url=url)
    assert (await say(), (await reach.chat(line.opened.ticket))[0]) == (502, 502), "nobody listens there any more"
    assert session.meter.usage(0).amounts == ()
    async with recording(drop) as url:
        session.key = structs.replace(session.key, base_url=url)
        assert (await say(), (await reach.chat(line.opened.ticket))[0]) == (502, 502)
    assert {amount.unit for amount in session.meter.usage(0).amounts} == {Unit.CHARACTERS, Unit.INPUT_TOKENS}


async def test_one_tenant_takes_no_more_than_its_part_of_the_room_for_bodies(
    place: Place, broker: Broker, reach: Hand, line: OpenLine
) -> None:
    """With calls that don't tell their length, so that they are taken for the largest, and wait for Mistral: others' go through."""
    session = next(iter(broker.sessions))
    url = session.key.base_url
    body = json.dumps({"model": CHAT, "messages": MESSAGES, "stream": True}).encode()
    released = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response(body=b"data: [DONE]\n\n", content_type="text/event-stream")

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    async def call() -> int:
        headers = {"Authorization": f"Bearer {line.opened.ticket}", "Content-Type": "application/json"}
        async with reach.http.post(
            reach.url + "/v1/chat/completions", data=pieces(), headers=headers, server_hostname="localhost"
        ) as answer:
            await answer.read()
            return answer.status

    async with recording(wait) as waiting:
        session.key = structs.replace(session.key, base_url=waiting)
        calls = [asyncio.create_task(call()) for _ in range(BODIES_OF_NAMESPACE_BYTES // MAX_BODY_BYTES)]
        await eventually(lambda: len(session._calls) == len(calls), "the calls to be under way")
        status, said, _ = await reach.chat(line.opened.ticket)
        assert (status, "too many requests" in said) == (503, True)
        async with reach.line(await place.token(await place.tenant()), "sess_other") as other:
            assert (await reach.chat(other.opened.ticket))[0] == 200
        released.set()
        assert await asyncio.gather(*calls) == [200] * len(calls)
        session.key = structs.replace(session.key, base_url=url)
        assert (await reach.chat(line.opened.ticket))[0] == 200
