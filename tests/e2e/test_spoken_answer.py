"""From twelve lines and a key to a spoken answer."""

import asyncio
import json
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from mistral_voice.contract.names import CLIENT_PORT
from mistral_voice.simulator.live.recogniser import RecogniserPool
from mistral_voice.simulator.live.recogniser_process import SAMPLE_RATE
from tests.e2e.place import LIVE, LIVE_KEY, MISTRAL
from tests.e2e.team import READY_SECONDS, Team
from tests.support.port_forward import port_forward
from tests.support.speech import speech, write_wav
from tests.support.words import word_error_rate

pytestmark = pytest.mark.asyncio(loop_scope="session")
QUESTION = "What is the capital of France?"
ANSWER = "Paris is the capital of France."


async def test_a_spoken_question_gets_a_spoken_answer(team: Team, tmp_path: Path) -> None:
    team.place.cluster.kubectl("rollout", "status", f"deployment/{LIVE}", "-n", MISTRAL, "--timeout", "120s")
    await team.put_key(LIVE_KEY)
    await team.apply("support", endpoint=LIVE)
    await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)
    question, reply = write_wav(tmp_path / "question.wav", speech(QUESTION)), tmp_path / "reply.wav"
    told = await talk(team, question, reply)
    assert word_error_rate(QUESTION, told["heard"]) <= 0.2, told
    assert word_error_rate(ANSWER, told["reply"]) == 0, told
    assert word_error_rate(ANSWER, await understood(reply)) <= 0.2


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
