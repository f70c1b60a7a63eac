"""`python -m tests.bench.load PLAN`: the callers' process. It prints `connected`, then obeys the commands that it reads, one a line."""

import asyncio
import gc
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import uvloop

from tests.bench.load.caller import Caller, Findings
from tests.bench.load.plan import FRAME_MS, Command, Plan, Report
from tests.bench.load.tracks import room, track

_SLOTS = 10
"""Callers send in so many groups, evenly spread over a frame's time."""


def main(path: str) -> int:
    """Run the callers until told to end."""
    plan = msgspec.json.decode(Path(path).read_bytes(), type=Plan)
    uvloop.run(_run(plan))
    return 0


async def _run(plan: Plan) -> None:
    findings = Findings()
    tracks, quiet = tuple(track(clip, plan.wire) for clip in plan.clips), room(plan.wire)
    callers = [Caller(plan, number, tracks, quiet, findings) for number in range(plan.callers)]
    gc.collect()
    gc.freeze()
    pulse = _Pulse(callers)
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(pulse.run())
        calls = []
        for caller in callers:
            calls.append(tasks.create_task(_stay(caller, findings)))
            await asyncio.sleep(plan.connect_seconds / plan.callers)
        _tell("connected")
        await _obey(callers, findings, pulse)
        for caller in callers:
            caller.hang_up()
        await asyncio.wait(calls, timeout=5.0)
        for call in calls:
            call.cancel()
        beating.cancel()


async def _stay(caller: Caller, findings: Findings) -> None:
    try:
        await caller.stay()
    except (ConnectionError, TimeoutError) as error:
        findings.lost_calls += 1
        findings.errors.append(f"a call failed: {error!r}")


class _Pulse:
    """Lets each caller send a frame every 20 ms, and knows how late it was."""

    def __init__(self, callers: list[Caller]) -> None:
        self._groups = [callers[slot::_SLOTS] for slot in range(_SLOTS)]
        self._late: list[float] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        started, beat = loop.time(), 0
        while True:
            due = started + beat * FRAME_MS / 1000 / _SLOTS
            now = loop.time()
            if due > now:
                await asyncio.sleep(due - now)
            elif beat % _SLOTS == 0:
                await asyncio.sleep(0)
            self._late.append(max(0.0, loop.time() - due))
            for caller in self._groups[beat % _SLOTS]:
                caller.step()
            beat += 1

    def late_ms(self) -> float:
        """Return the 99th percentile of the lateness since the last call."""
        late, self._late = sorted(self._late), []
        return late[int(len(late) * 0.99)] * 1000 if late else 0.0


async def _obey(callers: list[Caller], findings: Findings, pulse: _Pulse) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    began, used = time.monotonic(), time.process_time()
    async for line in reader:
        match Command(line.decode().strip()):
            case Command.MEASURE:
                vars(findings).update(vars(Findings()))
                pulse.late_ms()
                began, used = time.monotonic(), time.process_time()
                _tell("measuring")
            case Command.REPORT:
                share = (time.process_time() - used) / (time.monotonic() - began) * 100
                _tell(_report(findings, pulse.late_ms(), share))
            case Command.REPLY:
                for caller in callers:
                    caller.ask()
            case Command.END:
                return


def _report(findings: Findings, late_ms: float, cpu_percent: float) -> str:
    report = Report(
        turns=tuple(findings.turns),
        bargein_ms=tuple(findings.bargein_ms),
        unanswered=findings.unanswered,
        errors=tuple(f"{count} × {error}" for error, count in Counter(findings.errors).most_common(20)),
        calls=findings.calls,
        lost_calls=findings.lost_calls,
        late_ms=late_ms,
        cpu_percent=cpu_percent,
    )
    return msgspec.json.encode(report).decode()


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
