"""Many callers at once, each with words and a pitch that nobody else has: none ever gets another's."""

import asyncio
import base64
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mistral_voice.simulator.scripted.tone import dominant_hz
from tests.support.gateway import GatewayHandle, RealtimeClient, gateway_process
from tests.support.simulator import running_simulator
from tests.support.speech import RATE_HZ, silence, speech

CALLERS = 12
TURNS = 3
SPARE = 12
PITCHES = range(250, 250 + 50 * (CALLERS * TURNS + SPARE), 50)
"""One for each connection to the simulated ears: words that occur nowhere else. A turn makes one, or another where that was too slow."""
SCRIPT: dict[str, Any] = {
    "transcription": {
        "listening": "anything",
        "conversations": [[{"text": f"Canary of tone {hz}."}] for hz in PITCHES],
    },
    "speech": {"ms_per_character": 20, "speed": 8},
    "chat": {"replies": [{"text": "{user}"}]},
}


async def test_no_caller_gets_the_words_or_the_voice_of_another(tmp_path: Path) -> None:
    async with running_simulator(SCRIPT) as mistral, gateway_process(mistral, tmp_path) as gateway:
        async with asyncio.TaskGroup() as calls:
            talks = [calls.create_task(talk(gateway, interrupts=number % 2 == 0)) for number in range(CALLERS)]
        callers = [call.result() for call in talks]
    heard = [canaries(caller, "conversation.item.input_audio_transcription.completed") for caller in callers]
    said = [canaries(caller, "response.output_audio_transcript.done") for caller in callers]
    played = [tones(caller) for caller in callers]
    assert all(len(words) == TURNS for words in heard)
    assert len(set().union(*heard)) == CALLERS * TURNS, "a caller heard another's words"
    for own, words, pitches in zip(heard, said, played, strict=True):
        assert words <= own
        assert pitches
        assert pitches <= own


async def talk(gateway: GatewayHandle, *, interrupts: bool) -> RealtimeClient:
    """Speak three times; who interrupts speaks into the second reply."""
    utterance = speech("What is the capital of France?") + silence(1200)
    async with gateway.connect() as client:
        await client.update(audio={"input": {"transcription": {"model": "default"}}})
        await client.say(utterance)
        await client.until("response.done")
        await client.say(utterance)
        await client.until("response.output_audio.delta" if interrupts else "response.done")
        await client.say(utterance)
        await client.until("response.done")
        if interrupts:
            await client.until("response.done")
    return client


def canaries(caller: RealtimeClient, event_type: str) -> set[int]:
    """The pitches that are named in the transcripts of these events."""
    return {int(hz) for event in caller.all(event_type) for hz in re.findall(r"tone (\d+)", event["transcript"])}


def tones(caller: RealtimeClient) -> set[int]:
    """The pitch of each reply that was played."""
    replies: defaultdict[str, bytes] = defaultdict(bytes)
    for event in caller.all("response.output_audio.delta"):
        replies[event["response_id"]] += base64.b64decode(event["delta"])
    return {dominant_hz(np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(32768), RATE_HZ) for audio in replies.values()}
