"""The socket that is taken ahead of a reply goes with that reply, and no other."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.commands import Speak
from mistral_voice.gateway.session.inputs import Input, SpeechFinished
from mistral_voice.gateway.upstream.speaker import Speaker
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.waiting import eventually
from tests.unit.gateway.upstream.test_speech_sockets import VOICE, Pod, running


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator({"speech": {"ms_per_character": 20}}) as simulator:
        yield simulator


class Caller:
    """One session's speaker, and what it tells."""

    def __init__(self, pod: Pod, tasks: asyncio.TaskGroup) -> None:
        self.told: list[Input] = []
        self.speaker = Speaker(pod.sockets, self.told.append, tasks.create_task, pod)

    async def hears(self, response_id: str) -> None:
        self.speaker.speak(Speak(response_id, 0, "Hello there.", VOICE, AudioFormat.PCM))
        self.speaker.finish(response_id)
        await eventually(lambda: any(isinstance(told, SpeechFinished) for told in self.told), "the reply to be spoken")


@pytest.mark.parametrize("known", [True, False], ids=["its reply has begun", "its turn has ended"])
async def test_the_end_of_another_reply_leaves_the_prepared_socket(mistral: SimulatorHandle, known: bool) -> None:
    async with running(mistral, most=0) as pod, asyncio.TaskGroup() as tasks:
        caller = Caller(pod, tasks)
        caller.speaker.prepare(VOICE, "resp_next" if known else None)
        await eventually(lambda: pod.leased[False] == 1, "the socket to be taken")
        caller.speaker.drop("resp_other")
        await caller.hears("resp_next")
    assert pod.leased == {True: 0, False: 1}


async def test_a_reply_that_is_dropped_before_it_speaks_lets_its_socket_go(mistral: SimulatorHandle) -> None:
    async with running(mistral, most=0) as pod, asyncio.TaskGroup() as tasks:
        caller = Caller(pod, tasks)
        caller.speaker.prepare(VOICE, None)
        caller.speaker.prepare(VOICE, "resp_next")
        await eventually(lambda: pod.leased[False] == 1, "the socket to be taken")
        caller.speaker.drop("resp_next")
        await eventually(lambda: not pod.mistral.simulator.sockets, "the socket to be closed")
