"""Spares: kept as they are taken, bounded, aged, of the newest credential; never a socket that was asked to speak."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.upstream import speech_sockets
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.gateway.upstream.speech_sockets import (
    BACK_OFF_SECONDS,
    DEMAND_SECONDS,
    OLDEST_SECONDS,
    WANTED_SECONDS,
    Lease,
    SpeechSockets,
    SpeechTransport,
)
from mistral_voice.mistral.stream.client import Deadlines, StreamClient, open_http
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.mistral.stream.speech import SpeechEnd, SpeechSocket, open_speech
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.waiting import eventually

VOICE = "voice_478"


class Pod:
    """A pod's speech sockets, with a clock and a key that the test sets."""

    def __init__(self, mistral: SimulatorHandle) -> None:
        self.mistral = mistral
        self.now = 1000.0
        self.key = mistral.key
        self.leased = {True: 0, False: 0}
        self.failures: list[StreamError] = []
        self.sockets: SpeechSockets

    def requested(self, kind: UpstreamKind, model: str = "") -> None:
        assert kind is UpstreamKind.SPEECH

    def failed(self, kind: UpstreamKind, error: StreamError, model: str = "") -> None:
        self.failures.append(error)

    def speech_socket(self, *, spare: bool) -> None:
        self.leased[spare] += 1

    async def opened(self) -> int:
        return len(await self.mistral.requests(endpoint="speech_realtime"))

    async def spares(self, count: int) -> None:
        await eventually(lambda: self.sockets.spare_count == count, f"{count} spares; there are {self.sockets.spare_count}")


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator({"speech": {"ms_per_character": 20}}) as simulator:
        yield simulator


@asynccontextmanager
async def running(mistral: SimulatorHandle, most: int = 4, transport: SpeechTransport = SpeechTransport.AUTO) -> AsyncIterator[Pod]:
    pod = Pod(mistral)
    async with open_http(None) as http:
        client = StreamClient(http, mistral.base_url, lambda: Secret(pod.key), Deadlines(2.0, 2.0, 2.0))
        pod.sockets = SpeechSockets(client, "voxtral-mini-tts-latest", pod, most, transport, lambda: pod.now)
        keeping = asyncio.create_task(pod.sockets.run())
        try:
            yield pod
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture
async def pod(mistral: SimulatorHandle) -> AsyncIterator[Pod]:
    async with running(mistral) as running_pod:
        yield running_pod


async def say(lease: Lease, text: str = "Hello there.") -> int:
    await lease.speak(text)
    size = 0
    while not isinstance(piece := await lease.receive(5.0), SpeechEnd):
        size += len(piece.audio)
    return size


async def test_there_are_no_spares_before_anybody_spoke(pod: Pod) -> None:
    assert pod.sockets.spare_count == 0
    assert await pod.opened() == 0


async def test_the_second_reply_finds_a_socket_that_stands_open(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE) as lease:
        assert not lease.was_spare
        await say(lease)
    await pod.spares(1)
    before = await pod.opened()
    async with pod.sockets.lease(VOICE) as lease:
        assert lease.was_spare
        assert await say(lease) > 0
    assert pod.leased == {True: 1, False: 1}
    assert before == 2


async def test_a_socket_that_was_asked_to_speak_is_closed_and_one_that_was_not_is_kept(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    opened = await pod.opened()
    async with pod.sockets.lease(VOICE):
        await pod.spares(2)
    await pod.spares(3)
    assert await pod.opened() == opened + 2
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    records = await pod.mistral.requests(endpoint="speech_realtime")
    asked = [sum(message["body"]["type"] == "input_text.flush" for message in record["messages"]) for record in records]
    assert max(asked) == 1
    assert sum(asked) == 2


async def test_a_cancelled_replys_socket_is_closed_with_all_that_it_still_sends(pod: Pod) -> None:
    await pod.mistral.put_script({"speech": {"ms_per_character": 1000, "speed": 1}})
    speaking = asyncio.Event()

    async def reply() -> None:
        async with pod.sockets.lease(VOICE) as lease:
            await lease.speak("A very long text.")
            await lease.receive(5.0)
            speaking.set()
            await say(lease)

    cancelled = asyncio.create_task(reply())
    await speaking.wait()
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await pod.spares(1)
    await eventually(lambda: len(pod.mistral.simulator.sockets) == 1, "the cancelled reply's socket to be closed")


async def test_a_new_credential_replaces_the_spares(pod: Pod) -> None:
    await pod.mistral.add_key("second", "simulated-mistral-key-0002")
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    pod.key = "simulated-mistral-key-0002"
    async with pod.sockets.lease(VOICE) as lease:
        assert not lease.was_spare
        await say(lease)
    keys = [request["key_id"] for request in await pod.mistral.requests(endpoint="speech_realtime")]
    assert keys[:3] == ["test", "test", "second"]
    await eventually(lambda: {socket.key_id for socket in pod.mistral.simulator.sockets} == {"second"}, "the old key's spare to be closed")


async def test_voices_have_their_own_spares(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    async with pod.sockets.lease("voice_592") as lease:
        assert not lease.was_spare
    async with pod.sockets.lease(VOICE) as lease:
        assert lease.was_spare


async def test_a_spare_that_mistral_closed_is_not_given_out(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    await pod.mistral.admin("POST", "/sockets/close", {"endpoint": "speech_realtime", "code": 1012})
    await pod.spares(0)
    async with pod.sockets.lease(VOICE) as lease:
        assert not lease.was_spare
        assert await say(lease) > 0


async def test_an_error_of_ours_costs_one_spare_and_no_other(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def stumbling(client: StreamClient, model: str, voice: str) -> AbstractAsyncContextManager[SpeechSocket]:
        opened.append(voice)
        if len(opened) == 2:
            raise ZeroDivisionError("A mistake in our code.")
        return open_speech(client, model, voice)

    monkeypatch.setattr(speech_sockets, "open_speech", stumbling)
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await eventually(lambda: len(opened) == 2, "a spare to be tried")
    pod.now += BACK_OFF_SECONDS[1]
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)


async def test_a_spare_that_speaks_unasked_is_closed(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    await pod.mistral.put_script({"speech": {"unasked_ms": 100}})
    async with pod.sockets.lease(VOICE) as lease:
        assert lease.was_spare
    await eventually(lambda: pod.sockets.spare_count == 1 and len(pod.mistral.simulator.sockets) == 1, "the strange one to be closed")


async def test_spares_are_bounded_however_many_speak_at_once(pod: Pod) -> None:
    async with AsyncExitStack() as leases:
        for _ in range(20):
            await leases.enter_async_context(pod.sockets.lease(VOICE))
        await pod.spares(4)
        assert len(pod.mistral.simulator.sockets) <= 20 + 4
    await eventually(lambda: len(pod.mistral.simulator.sockets) == 4, "the others to be closed")


async def test_spares_age_and_are_replaced_only_while_they_are_wanted(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    assert await pod.opened() == 2
    pod.now += OLDEST_SECONDS + 1
    await eventually(lambda: _opened_is(pod, 3), "a younger spare")
    pod.now += WANTED_SECONDS - OLDEST_SECONDS
    await pod.spares(0)
    assert len(pod.mistral.simulator.sockets) == 0


async def _opened_is(pod: Pod, count: int) -> bool:
    return await pod.opened() == count and pod.sockets.spare_count == 1


async def test_a_spare_that_is_dismissed_before_it_was_watched_is_closed_as_any_other(pod: Pod) -> None:
    async with pod.sockets.lease(VOICE):
        pass
    pod.now += 100
    pod.sockets._look_after()
    assert pod.sockets.spare_count == 0
    await eventually(lambda: not any(entry.endpoint == "speech_realtime" for entry in pod.mistral.simulator.sockets), "its end")


async def test_the_number_of_spares_follows_the_demand(pod: Pod) -> None:
    for _ in range(3):
        async with pod.sockets.lease(VOICE) as lease:
            await say(lease)
    await pod.spares(3)
    pod.now += DEMAND_SECONDS + 1
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(2)


async def test_a_voice_that_mistral_does_not_know_is_not_tried_again_and_again(pod: Pod) -> None:
    for _ in range(3):
        with pytest.raises(StreamError, match="not found"):
            async with pod.sockets.lease("nobody") as lease:
                await say(lease)
    await eventually(lambda: _opened_at_least(pod, 4), "a spare to be tried")
    async with pod.sockets.lease(VOICE) as lease:
        await say(lease)
    await pod.spares(1)
    assert await pod.opened() <= 9


async def _opened_at_least(pod: Pod, count: int) -> bool:
    return await pod.opened() >= count


async def test_with_no_spares_each_socket_is_opened_when_it_is_wanted(mistral: SimulatorHandle) -> None:
    async with running(mistral, most=0) as pod:
        for _ in range(3):
            async with pod.sockets.lease(VOICE) as lease:
                await say(lease)
        assert pod.leased == {True: 0, False: 3}
        assert await pod.opened() == 3


@pytest.mark.parametrize(
    ("transport", "kind", "may"),
    [
        (SpeechTransport.AUTO, FaultKind.UNAVAILABLE, True),
        (SpeechTransport.AUTO, FaultKind.REJECTED, True),
        (SpeechTransport.AUTO, FaultKind.UNAUTHORIZED, False),
        (SpeechTransport.AUTO, FaultKind.RATE_LIMITED, False),
        (SpeechTransport.REALTIME, FaultKind.UNAVAILABLE, False),
    ],
)
async def test_http_is_tried_where_it_may_help(mistral: SimulatorHandle, transport: SpeechTransport, kind: FaultKind, may: bool) -> None:
    async with running(mistral, transport=transport) as pod:
        assert pod.sockets.may_do_without(StreamError(kind, "It broke.")) is may
