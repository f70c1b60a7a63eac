"""From twelve lines and a key to a spoken answer."""

from pathlib import Path

import pytest

from tests.e2e.place import LIVE, LIVE_KEY, MISTRAL
from tests.e2e.talking import ANSWER, QUESTION, talk, understood
from tests.e2e.team import READY_SECONDS, Team
from tests.support.speech import speech, write_wav
from tests.support.words import word_error_rate

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
