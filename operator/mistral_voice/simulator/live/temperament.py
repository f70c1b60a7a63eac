"""The live temperament as a whole."""

import contextlib
import re
from collections.abc import AsyncIterator

import numpy as np
import soxr

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.clock import Clock
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.live.ear import LiveEar
from mistral_voice.simulator.live.functions import call_for, result_of
from mistral_voice.simulator.live.mind import answer
from mistral_voice.simulator.live.recogniser import RecogniserPool
from mistral_voice.simulator.live.recogniser_process import SAMPLE_RATE
from mistral_voice.simulator.live.voice import PiperSpeaker, load_voice
from mistral_voice.simulator.script import ScriptInUse
from mistral_voice.simulator.temperament import Piece, Reply
from mistral_voice.simulator.voices import Voice
from mistral_voice.simulator.wire.chat import ChatRequest
from mistral_voice.simulator.wire.transcription import Session

_FIRST_TOKEN_MS = 120
_TOKEN_MS = 15


class LiveTemperament:
    """Hears with PocketSphinx, answers by rules, speaks with Piper."""

    def __init__(self, clock: Clock, recognisers: RecogniserPool, speaker: PiperSpeaker) -> None:
        self._clock = clock
        self.recognisers = recognisers
        self._speaker = speaker

    async def ear(self, session: Session, script: ScriptInUse, dialect: Dialect) -> LiveEar:  # noqa: ARG002
        """Return the ear of a session whose settings are final."""
        tells_turns = session.turn_detection is not None or dialect.turn_detection_by_default
        return LiveEar(session, self.recognisers, tells_turns=tells_turns)

    async def reply(self, request: ChatRequest, script: ScriptInUse, session: str | None) -> Reply:  # noqa: ARG002
        """Return the reply of the rules to the last user message, or to the results of functions that were called for it."""
        call = call_for(request)
        if call is not None:
            return Reply((), [call], tool_calls_at_ms=_FIRST_TOKEN_MS, finish_reason="tool_calls")
        user = next((message.text() for message in reversed(request.messages) if message.role == "user"), "")
        text = result_of(request) or answer(user, self._clock.wall().astimezone())
        tokens = re.findall(r"\s*\S+", text)
        return Reply([Piece(_FIRST_TOKEN_MS + number * _TOKEN_MS, token) for number, token in enumerate(tokens)])

    def speak(self, text: str, voice: Voice | None, script: ScriptInUse, sample_rate: int) -> AsyncIterator[Samples]:  # noqa: ARG002
        """Speak: all voices sound like the one that is installed."""
        return self._speaker.speak(text, sample_rate)

    async def transcribe(self, samples: Samples, sample_rate: int, script: ScriptInUse) -> str:  # noqa: ARG002
        """Return the words of a recording."""
        return await self.recognisers.hear(np.asarray(soxr.resample(samples, sample_rate, SAMPLE_RATE), np.float32))

    async def close(self) -> None:
        """End the children and the thread."""
        self._speaker.close()
        await self.recognisers.close()


async def start_live(clock: Clock, workers: int) -> LiveTemperament:
    """Return the live temperament once it can hear and speak. Raises RecogniserError or VoiceError if something is not installed."""
    recognisers = RecogniserPool()
    async with contextlib.AsyncExitStack() as started:
        started.push_async_callback(recognisers.close)
        await recognisers.start(workers)
        speaker = await load_voice()
        started.pop_all()
    return LiveTemperament(clock, recognisers, speaker)
