"""Each fault, as a client meets it."""

import asyncio
import json
import re
import time
from typing import Any

import aiohttp
import pytest

from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.virtual_clock import VirtualClock
from tests.support.waiting import eventually
from tests.unit.simulator.clients import SPEECH_MODEL, chat, content, silence, speech, sse, transcription, user, voice

STREAMED = {**chat(user("one two three four five")), "stream": True}


async def status_of(http: aiohttp.ClientSession, path: str = "/v1/models") -> int:
    async with http.get(path) as response:
        await response.read()
        return response.status


@pytest.mark.parametrize(
    ("status", "in_body"),
    [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not found"),
        (422, "Field required"),
        (429, "Rate limit exceeded"),
        (500, "Internal server error"),
        (502, "Bad gateway"),
        (503, "Service tier capacity exceeded"),
    ],
)
async def test_every_status_has_mistrals_usual_body(
    mistral: SimulatorHandle, http: aiohttp.ClientSession, status: int, in_body: str
) -> None:
    await mistral.add_fault("status", status=status)
    async with http.get("/v1/models") as response:
        assert response.status == status
        assert in_body in json.dumps(await response.json())


async def test_a_429_says_when_to_come_again(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("status", status=429, retry_after_s=7, headers={"x-ratelimit-limit-req-minute": "30"})
    async with http.get("/v1/models") as response:
        assert response.headers["Retry-After"] == "7"
        assert response.headers["x-ratelimit-limit-req-minute"] == "30"
        assert response.headers["x-ratelimit-remaining-req-minute"] == "0"
        assert (await response.json())["type"] == "rate_limited"


async def test_body_and_headers_can_be_given(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("status", status=418, body={"detail": "short and stout"}, headers={"x-teapot": "yes"})
    async with http.get("/v1/models") as response:
        assert (response.status, response.headers["x-teapot"], await response.json()) == (418, "yes", {"detail": "short and stout"})


async def test_a_fault_strikes_so_often_and_after_so_many(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("status", status=500, skip=1, times=2)
    assert [await status_of(http) for _ in range(5)] == [200, 500, 500, 200, 200]
    (fault,) = await mistral.admin("GET", "/faults")
    assert fault["struck"] == 2


async def test_a_fault_keeps_to_its_endpoint_key_and_session(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_key("other", "other-key-0000001")
    await mistral.add_fault("status", status=500, endpoint="whoami")
    await mistral.add_fault("status", status=502, key_id="other", endpoint="models")
    await mistral.add_fault("status", status=503, session="s-1")
    assert await status_of(http) == 200
    assert await status_of(http, "/v1/whoami") == 500
    async with http.get("/v1/models", headers={"Authorization": "Bearer other-key-0000001"}) as response:
        assert response.status == 502
    async with http.get("/v1/models", headers={"x-simulator-session": "s-1"}) as response:
        assert response.status == 503
    async with http.post("/v1/chat/completions", json=chat(user("x"), prompt_cache_key="s-1")) as response:
        assert response.status == 503
    async with http.post("/v1/chat/completions", json=chat(user("x"), prompt_cache_key="s-2")) as response:
        assert response.status == 200


async def test_a_fault_keeps_to_its_model(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("status", status=500, model=SPEECH_MODEL)
    async with transcription(http, {}):
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with speech(http):
            pass
    assert refused.value.status == 500


async def test_a_removed_fault_strikes_no_more(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    fault = await mistral.add_fault("status", status=500)
    await mistral.admin("DELETE", f"/faults/{fault}")
    assert await status_of(http) == 200
    await mistral.add_fault("status", status=500)
    await mistral.admin("DELETE", "/faults")
    assert await status_of(http) == 200


async def test_a_hanging_request_is_never_answered_and_ends_with_its_client(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("hang", endpoint="models")
    with pytest.raises(TimeoutError):
        async with http.get("/v1/models", timeout=aiohttp.ClientTimeout(total=0.1)):
            pass

    async def ended() -> bool:
        (record,) = await mistral.requests(endpoint="models")
        return record["ended_at_ms"] is not None and record["fault"] == "hang"

    await eventually(ended, "the request to end")


async def test_a_hanging_handshake_is_never_answered(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("hang", endpoint="transcription_realtime")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await http.ws_connect("/v1/audio/transcriptions/realtime?model=voxtral-mini-transcribe-realtime-latest")


async def test_a_hanging_request_does_not_keep_the_simulator_from_stopping() -> None:
    started = time.monotonic()
    async with running_simulator() as mistral, aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http:
        await mistral.add_fault("hang")
        hanging = asyncio.create_task(status_of(http))
        await eventually(lambda: mistral.simulator.faults.all()[0].struck == 1, "the fault to strike")
    with pytest.raises(aiohttp.ClientError):
        await hanging
    assert time.monotonic() - started < 45, "the request that hangs was waited for"


async def test_a_slow_answer_comes_exactly_so_much_later() -> None:
    clock = VirtualClock()
    async with running_simulator(clock=clock) as mistral, aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http:
        await mistral.add_fault("slow", delay_ms=4321)
        started = clock.now()
        assert await status_of(http) == 200
        assert round((clock.now() - started) * 1000, 6) == 4321


async def test_a_reset_connection_gives_no_answer(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("reset", times=1)
    with pytest.raises(aiohttp.ClientError):
        await http.post("/v1/chat/completions", json=chat(user("x")))
    assert await status_of(http) == 200


async def test_garbage_can_be_broken_json(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("garbage")
    async with http.get("/v1/models") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        with pytest.raises(json.JSONDecodeError):
            await response.json()


async def test_garbage_can_be_a_page(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("garbage", garbage="wrong_content_type")
    async with http.get("/v1/models") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_garbage_can_be_of_the_wrong_shape(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("garbage", garbage="wrong_shape")
    async with http.get("/v1/models") as response:
        assert await response.json() == [1, "two", None]


async def test_garbage_can_be_very_large(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("garbage", garbage="oversized", size_bytes=3_000_000)
    async with http.get("/v1/models") as response:
        assert len(await response.read()) == 3_000_000


async def partial(http: aiohttp.ClientSession) -> tuple[list[tuple[str | None, str]], BaseException | None]:
    """What came of a streamed reply, and the error that ended it."""
    events: list[tuple[str | None, str]] = []
    try:
        async with http.post("/v1/chat/completions", json=STREAMED, timeout=aiohttp.ClientTimeout(total=0.5)) as response:
            async for event in sse(response):
                events.append(event)  # noqa: PERF401 - what came before the error counts
    except (aiohttp.ClientError, TimeoutError) as error:
        return events, error
    return events, None


async def test_a_stream_can_be_cut(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("cut", endpoint="chat", after_events=3)
    events, error = await partial(http)
    assert content([json.loads(data) for _, data in events]) == "You said:"
    assert isinstance(error, aiohttp.ClientError)


async def test_a_stream_can_stall(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("stall", endpoint="chat", after_events=2)
    events, error = await partial(http)
    assert len(events) == 2
    assert isinstance(error, TimeoutError)


async def test_a_stream_can_end_with_an_error_event(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("error_event", endpoint="chat", after_events=2, error_code=1000, error_message="Overloaded")
    events, error = await partial(http)
    name, data = events[2]
    assert len(events) == 3
    assert name == "error"
    assert (json.loads(data)["message"], json.loads(data)["code"]) == ("Overloaded", "1000")
    assert error is None


async def test_a_stream_can_hold_garbage_and_go_on(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("garbage", endpoint="chat", after_events=2)
    events, error = await partial(http)
    assert events[2][1] == '{"object": "list", "data": ['
    assert events[-1][1] == "[DONE]"
    assert error is None


async def test_a_speech_stream_can_be_cut(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("cut", endpoint="speech", after_events=1)
    async with http.post("/v1/audio/speech", json={"input": "A longer text.", "response_format": "pcm", "stream": True}) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def spoken(http: aiohttp.ClientSession) -> tuple[list[str], int | None, str]:
    """The events of a speech socket that says a sentence, and how it closed."""
    async with speech(http) as socket:
        await socket.send({"type": "input_text.append", "text": "A text of some length."}, {"type": "input_text.end"})
        code, reason = await socket.closed()
        return socket.types, code, reason


async def test_a_socket_can_be_cut(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("cut", endpoint="speech_realtime", after_events=3)
    types, code, _ = await spoken(http)
    assert (len(types), code) == (3, 1006)


async def test_a_socket_can_be_closed_with_a_code(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("close", endpoint="speech_realtime", after_events=1, close_code=1013, close_reason="Try again later")
    types, code, reason = await spoken(http)
    assert (types, code, reason) == (["session.created"], 1013, "Try again later")


async def test_a_socket_can_send_error_3804(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("error_event", endpoint="transcription_realtime", after_events=1)
    async with transcription(http) as socket:
        await socket.speak(silence(40))
        error = await socket.until("error")
        assert error["error"] == {"message": "Timeout waiting for response from streaming transcription", "code": 3804}
        assert (await socket.closed())[0] == 1011


async def test_a_socket_can_send_an_error_and_go_on(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("error_event", endpoint="speech_realtime", after_events=0, goes_on=True)
    types, code, _ = await spoken(http)
    assert types[:2] == ["error", "session.created"]
    assert (types[-1], code) == ("speech.audio.done", 1000)


async def test_a_socket_can_send_garbage_and_go_on(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("garbage", endpoint="transcription_realtime", after_events=1)
    async with transcription(http) as socket:
        await socket.until("session.created")
        with pytest.raises(json.JSONDecodeError):
            await socket.event()
        await socket.send({"type": "input_audio.end"})
        await socket.until("transcription.done")


async def test_a_socket_can_stall_without_an_error(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("stall", endpoint="transcription_realtime", after_events=2)
    async with transcription(http, {"turn_detection": {}}) as socket:
        await socket.speak(voice(300) + silence(600))
        with pytest.raises(TimeoutError):
            await socket.websocket.receive(timeout=0.1)
        assert not socket.websocket.closed
    await eventually(lambda: not mistral.simulator.sockets, "the socket to be forgotten")


async def test_a_fault_in_a_stream_can_come_late() -> None:
    clock = VirtualClock()
    async with running_simulator(clock=clock) as mistral, aiohttp.ClientSession(mistral.base_url, headers=mistral.authorization) as http:
        await mistral.add_fault("close", endpoint="speech_realtime", after_events=1, delay_ms=500)
        started = clock.now()
        async with speech(http) as socket:
            assert (await socket.closed())[0] == 1011
        assert round((clock.now() - started) * 1000, 6) == 500


async def test_open_sockets_can_be_closed_at_once(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with transcription(http, {}) as ears, speech(http) as mouth:
        await mouth.until("session.created")
        assert len(await mistral.admin("GET", "/sockets")) == 2
        closing = asyncio.create_task(
            mistral.admin("POST", "/sockets/close", {"endpoint": "speech_realtime", "code": 1012, "reason": "restart"})
        )
        assert await mouth.closed() == (1012, "restart")
        assert await closing == {"closed": 1}
        await mistral.admin("POST", "/sockets/close", {"abort": True})
        assert (await ears.closed())[0] == 1006


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "odd"},
        {"kind": "status", "status": 200},
        {"kind": "close", "close_code": 1005},
        {"kind": "close", "close_code": 2000},
        {"kind": "garbage", "size_bytes": 1_000_000_000},
        {"kind": "status", "endpoint": "nowhere"},
        {"kind": "status", "colour": "red"},
    ],
)
async def test_a_wrong_fault_is_refused_with_a_sentence(http: aiohttp.ClientSession, fault: dict[str, Any]) -> None:
    async with http.post("/_simulator/faults", json=fault) as response:
        assert response.status == 400
        assert re.search(r"\w+ \w+", (await response.json())["message"])


async def test_faults_are_counted(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_fault("status", status=500, times=1)
    await status_of(http)
    async with http.get("/metrics") as response:
        text = await response.text()
    assert 'mistral_voice_simulator_faults_total{kind="status"} 1.0' in text
    assert 'mistral_voice_simulator_requests_total{endpoint="models",status="500"} 1.0' in text
