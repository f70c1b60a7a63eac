"""Health checks beside the visits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import httpx2
import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.health.checks import HealthChecks
from mistral_voice.controller.health.result import ProbeCode, ProbeResult
from mistral_voice.controller.health.sharing import SharedProbes
from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.controller.health.thresholds import Health, Verdict
from mistral_voice.controller.memory import Memory
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.runtime.redaction import Redactor
from tests.support.waiting import eventually
from tests.unit.controller.given import NOW, known, probed

KEY = ObjectKey("team", "support")


def visit_with(memory: Memory, key: str = "key-of-a-tenant-1") -> Visit:
    return Visit(KEY, {}, "1", memory, known(health=Health()), {}, None, Secret(key))


@asynccontextmanager
async def checking(answer: asyncio.Event, enqueued: list[ObjectKey]) -> AsyncIterator[HealthChecks]:
    async def run(http: httpx2.AsyncClient, target: ProbeTarget, key: Secret, now: Callable[[], datetime]) -> ProbeResult:
        await answer.wait()
        return probed(ProbeCode.CONNECTED, at=NOW)

    async with SharedProbes(now=lambda: NOW, max_concurrent=2, run=run) as probes:
        checks = HealthChecks(probes, enqueued.append, lambda: NOW, lambda: 0.5, Redactor())
        yield checks
        await checks.close()


async def test_a_visit_sees_the_result_of_a_check_that_answers_in_time() -> None:
    answer, enqueued, memory = asyncio.Event(), list[ObjectKey](), Memory("u", generation=1)
    answer.set()
    async with checking(answer, enqueued) as checks:
        visit = visit_with(memory)
        checks.begin(visit)
        assert (await checks.awaited(visit)).health.verdict is Verdict.HEALTHY
    assert memory.next_check_at == NOW + timedelta(seconds=300)
    assert enqueued == []


async def test_a_check_that_outlives_a_failed_visit_is_seen_by_the_next() -> None:
    answer, enqueued, memory = asyncio.Event(), list[ObjectKey](), Memory("u", generation=1)
    async with checking(answer, enqueued) as checks:
        checks.begin(visit_with(memory))  # This visit fails before it comes to look at the result.
        again = visit_with(memory)
        checks.begin(again)
        looking = asyncio.create_task(checks.awaited(again))
        await asyncio.sleep(0)
        answer.set()
        assert (await looking).health.verdict is Verdict.HEALTHY


async def test_a_slow_check_enqueues_the_integration_when_it_is_done() -> None:
    answer, enqueued, memory = asyncio.Event(), list[ObjectKey](), Memory("u", generation=1)
    async with checking(answer, enqueued) as checks:
        visit = visit_with(memory)
        checks.begin(visit)
        assert (await checks.awaited(visit)).health.verdict is Verdict.UNKNOWN
        assert enqueued == []
        answer.set()
        await eventually(lambda: enqueued, "the integration to be enqueued")
    assert memory.health.verdict is Verdict.HEALTHY


async def test_no_visit_stands_by_an_endpoint_at_which_checks_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mistral_voice.controller.health.checks.PATIENCE_SECONDS", 3600.0)
    answer, enqueued = asyncio.Event(), list[ObjectKey]()
    async with checking(answer, enqueued) as checks:
        visits = [visit_with(Memory(f"u{number}", generation=1), key=f"key-of-a-tenant-{number}") for number in range(3)]
        for visit in visits:
            checks.begin(visit)
        await asyncio.sleep(0)
        seen = await asyncio.gather(*(checks.awaited(visit) for visit in visits))
        assert [known.health.verdict for known in seen] == [Verdict.UNKNOWN] * 3
        answer.set()
        await eventually(lambda: len(enqueued) == 3, "all to be enqueued")


async def test_a_trouble_that_lasts_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    memory, results = Memory("u", generation=1), [ProbeCode.UNAUTHORIZED, ProbeCode.UNAUTHORIZED, ProbeCode.MODEL_NOT_FOUND]

    async def run(http: httpx2.AsyncClient, target: ProbeTarget, key: Secret, now: Callable[[], datetime]) -> ProbeResult:
        return probed(results.pop(0), at=NOW)

    async with SharedProbes(now=lambda: NOW, max_concurrent=2, run=run) as probes:
        checks = HealthChecks(probes, lambda key: None, lambda: NOW, lambda: 0.5, Redactor())
        for number in range(3):
            memory.next_check_at = None
            visit = visit_with(memory, key=f"key-of-a-tenant-{number}")
            checks.begin(visit)
            await checks.awaited(visit)
        await checks.close()
    assert [record.__dict__["reason"] for record in caplog.records] == ["Unauthorized", "ModelNotFound"]
