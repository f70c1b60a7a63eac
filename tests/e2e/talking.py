"""Talks with an integration by `mistral-voice talk`, and listens to what it said."""

import asyncio
import json
import sys
import wave
from pathlib import Path
from typing import Final

import numpy as np
import soxr

from mistral_voice.contract.names import CLIENT_PORT
from mistral_voice.simulator.live.recogniser import RecogniserPool
from mistral_voice.simulator.live.recogniser_process import SAMPLE_RATE
from tests.e2e.team import Team
from tests.support.port_forward import port_forward

QUESTION: Final = "What is the capital of France?"
ANSWER: Final = "Paris is the capital of France."


async def talk(team: Team, question: Path, reply: Path) -> dict[str, str]:
    """Ask by `mistral-voice talk`, and return what it prints."""
    token_file = reply.with_name("token")
    token_file.write_text(await team.token())
    with port_forward(team.place.cluster, team.namespace, "service/support-voice", CLIENT_PORT) as port:
        argv = ["talk", "--url", f"ws://127.0.0.1:{port}", "--token-file", token_file, "--in", question, "--out", reply, "--json"]
        talking = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mistral_voice.cli.main", *map(str, argv), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        printed, complaint = await talking.communicate()
    assert talking.returncode == 0, complaint.decode()
    told: dict[str, str] = json.loads(printed)
    return told


async def understood(recording: Path) -> str:
    """Return the words that speech recognition finds in a recording."""
    with wave.open(str(recording)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        rate_hz = file.getframerate()
    ears = RecogniserPool()
    await ears.start(workers=1)
    try:
        return await ears.hear(soxr.resample(samples, rate_hz, SAMPLE_RATE))
    finally:
        await ears.close()
