"""The most frequent complaints about voice assistants: what stops them though it should not, and what does not though it should.

Real sounds at their own pace, through a gateway and the scripted simulator, which here speaks with a human voice.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soxr

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.clock import SystemClock
from mistral_voice.simulator.script import ScriptInUse
from mistral_voice.simulator.scripted.temperament import ScriptedTemperament
from mistral_voice.simulator.voices import Voice
from tests.support.caller import Caller, leveled
from tests.support.gateway import GatewayHandle, running_gateway
from tests.support.leaping_loop import run_leaping
from tests.support.simulator import running_simulator
from tests.support.sounds import cough, samples_of, television
from tests.support.speech import RATE_HZ, speech

SENTENCES = (
    "Once upon a time there was a king who had three daughters.",
    "The youngest of them was so beautiful that the sun itself was amazed.",
    "Near the castle there was a great dark forest.",
)
CALLER_DBFS = -21.0
WORTH_A_REPLY = "Tell me a story, please."
ANOTHER_REPLY = "What did you say?"
"""What anything but the wish for a story is answered with, so that a story which goes on was resumed."""


class SpeakingSimulator(ScriptedTemperament):
    """Scripted but for its voice."""

    async def speak(self, text: str, voice: Voice | None, script: ScriptInUse, sample_rate: int) -> AsyncIterator[Samples]:
        """Yield the text as speech, in pieces of a tenth of a second."""
        samples = samples_of(speech(text)).astype(np.float32)
        if sample_rate != RATE_HZ:
            samples = soxr.resample(samples, RATE_HZ, sample_rate)
        for start in range(0, len(samples), sample_rate // 10):
            yield samples[start : start + sample_rate // 10]


@dataclass(frozen=True)
class Case:
    """A kind of sound: its clips, what speech recognition makes of them, and whether the assistant is to stop for good."""

    name: str
    clips: Sequence[bytes]
    transcript: str
    stops: bool = False
    echo_db: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one clip: whether the reply was stopped, and whether another went on in its place."""

    stopped: bool
    went_on: bool


def cases() -> list[Case]:
    said = ("Mhm.", "Uh-huh.", "Yeah.", "Okay.", "Mm-hmm.", "Right.")
    orders = ("Stop.", "Wait.", "Stop, please.", "No, that is wrong.", "Hold on a moment.", "Excuse me, one question.")
    programmes = (
        "And now the weather for tomorrow. In the north it will rain.",
        "The minister said on Monday that prices had risen again.",
        "Welcome back to the show, everybody. We have a great guest.",
    )
    return [
        Case("cough", [cough(seed) for seed in range(6)], ""),
        Case("mhm", [leveled(speech(text), CALLER_DBFS - 3) for text in said], "Mhm."),
        Case("stop", [leveled(speech(text), CALLER_DBFS) for text in orders], "Stop, please.", stops=True),
        Case("quiet stop (-6 dB)", [leveled(speech(text), CALLER_DBFS - 6) for text in orders], "Stop, please.", stops=True),
        Case("television", [television(text, level, 3) for text in programmes for level in (-38.0, -44.0)], "The minister said."),
        Case("echo", [b""] * 6, "there was a king who had three daughters", echo_db=-20.0),
    ]


def test_what_stops_the_assistant_and_what_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, outcomes = run_leaping(all_calls(tmp_path))
    with capsys.disabled():
        print("\n" + table(found) + f"\nbarge_ins_total: {outcomes}")
    for case in cases():
        for outcome in found[case.name]:
            assert (outcome.stopped and not outcome.went_on) is case.stops, f"{case.name}: {found[case.name]}"
    unnoticed = [outcome for name in ("cough", "television", "echo") for outcome in found[name] if not outcome.stopped]
    assert len(unnoticed) >= 12, "what is no word should rarely stop the assistant even for a moment"
    assert outcomes["resumed"] + outcomes["echo"] == sum(outcome.went_on for kind in found.values() for outcome in kind)
    assert outcomes["dismissed"] > 0


async def all_calls(tmp_path: Path) -> tuple[dict[str, list[Outcome]], dict[str, float]]:
    """Hold a call with each clip; returns what came of them, by case, and how the gateway counted."""
    for sentence in SENTENCES:
        speech(sentence)
    found: dict[str, list[Outcome]] = {}
    async with (
        running_simulator(temperament=SpeakingSimulator(SystemClock())) as mistral,
        running_gateway(mistral, tmp_path) as gateway,
    ):
        for transcript, group in itertools.groupby(cases(), lambda case: case.transcript):
            script = {"listening": "anything", "turns": [{"text": transcript}]}
            replies = [{"when": WORTH_A_REPLY, "text": " ".join(SENTENCES)}, {"text": ANOTHER_REPLY}]
            await mistral.put_script({"transcription": script, "chat": {"replies": replies}})
            async with asyncio.TaskGroup() as tasks:
                calls = [(case, tasks.create_task(one_call(gateway, case, clip))) for case in group for clip in case.clips]
            for case, call in calls:
                found.setdefault(case.name, []).append(call.result())
        outcomes = {
            outcome: await gateway.metric("barge_ins_total", outcome=outcome) for outcome in ("confirmed", "dismissed", "resumed", "echo")
        }
    return found, outcomes


async def one_call(gateway: GatewayHandle, case: Case, clip: bytes) -> Outcome:
    """Ask for a story aloud, and let the clip sound while it is told."""
    async with gateway.connect() as client:
        detection = {"type": "server_vad", "create_response": False, "silence_duration_ms": 400}
        await client.update(audio={"input": {"turn_detection": detection}})
        caller = Caller(client, echo_db=case.echo_db)
        async with caller.on_the_line():
            caller.say(leveled(speech(WORTH_A_REPLY), CALLER_DBFS))
            await caller.has("input_audio_buffer.committed")
            await client.send(
                "session.update",
                session={"type": "realtime", "audio": {"input": {"turn_detection": {"create_response": True}}}},
            )
            wish = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": WORTH_A_REPLY}]}
            await client.send("response.create", response={"input": [wish]})
            await caller.first_audio.wait()
            await asyncio.sleep(1.0)
            caller.say(clip)
            # A clip, the silence after it, and what comes of it; or as much of the story with its echo.
            await asyncio.sleep(len(clip) / 48_000 + 1.6 if clip else 5.0)
        responses = len(client.all("response.created"))
        done = client.all("response.done")
        stopped = bool(done) and done[0]["response"]["status"] == "cancelled"
        spoken = [event["delta"].strip() for event in client.all("response.output_audio_transcript.delta")]
        return Outcome(stopped, stopped and responses > 1 and spoken[-1] == SENTENCES[-1])


def table(found: dict[str, list[Outcome]]) -> str:
    """Return the rates as a table."""
    lines = [f"{'sound':20s} {'clips':>5s} {'stopped':>8s} {'for good':>9s} {'rate':>22s}"]
    expected = {case.name: case.stops for case in cases()}
    for name, outcomes in found.items():
        for_good = sum(outcome.stopped and not outcome.went_on for outcome in outcomes)
        wrong = len(outcomes) - for_good if expected[name] else for_good
        kind = "missed stops" if expected[name] else "false stops"
        rate = f"{kind} {wrong / len(outcomes):.0%}"
        lines.append(f"{name:20s} {len(outcomes):5d} {sum(outcome.stopped for outcome in outcomes):8d} {for_good:9d} {rate:>22s}")
    return "\n".join(lines)
