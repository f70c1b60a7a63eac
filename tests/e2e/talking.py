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
from tests.support.port_forward import forwarded
from tests.support.waiting import eventually

QUESTION: Final = "What is the capital of France?"
ANSWER: Final = "Paris is the capital of France."
REFUSED: Final = "The gateway refused the session"
"""How the complaint begins of one who was let in and got no session."""


async def talk(team: Team, question: Path, reply: Path) -> dict[str, str]:
    """Ask by `mistral-voice talk`, and return what it prints. Whoever is refused a session asks again: most reasons pass."""
    said = ""

    async def told() -> dict[str, str] | None:
        nonlocal said
        printed, said = await _talk(team, question, reply)
        assert printed is not None or REFUSED in said, said
        return printed

    try:
        heard = await eventually(told, "a session", every_seconds=1)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{said}") from None
    assert heard is not None
    return heard


async def _talk(team: Team, question: Path, reply: Path) -> tuple[dict[str, str] | None, str]:
    """Return what is printed, nothing if there was no reply, and what is complained of."""
    token_file = reply.with_name("token")
    token_file.write_text(await team.token())
    async with forwarded(team.place.cluster, team.namespace, "service/support-voice", CLIENT_PORT) as port:
        argv = ["talk", "--url", f"ws://127.0.0.1:{port}", "--token-file", token_file, "--in", question, "--out", reply, "--json"]
        talking = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mistral_voice.cli.main", *map(str, argv), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        printed, complaint = await talking.communicate()
    return (json.loads(printed) if talking.returncode == 0 else None), complaint.decode()


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
