"""Checks that integrations share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import httpx2
import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.controller.health.result import ProbeCode, ProbeResult
from mistral_voice.controller.health.sharing import SharedProbes
from mistral_voice.controller.health.target import ProbeTarget
from tests.support.simulator import TEST_KEY, running_simulator
from tests.support.waiting import eventually
from tests.unit.controller.given import NOW, probed

KEY = Secret("key-of-a-tenant-1")
TARGET = ProbeTarget(base_url="https://mistral.example", model="m", voice="v")
LONG_AGO = NOW - timedelta(days=1)


@dataclass
class Asked:
    """A check that answers when the test says so, and remembers what it was asked."""

    keys: list[str] = field(default_factory=list)
    under_way: int = 0
    most_at_once: int = 0
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    at: datetime = NOW

    async def run(self, http: httpx2.AsyncClient, target: ProbeTarget, key: Secret, now: Callable[[], datetime]) -> ProbeResult:
        self.keys.append(key.reveal())
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await self.answer.wait()
        finally:
            self.under_way -= 1
        return probed(ProbeCode.CONNECTED, at=self.at)


async def test_integrations_with_the_same_key_and_settings_ask_once() -> None:
    asked, observed = Asked(), list[ProbeResult]()
    async with SharedProbes(now=lambda: NOW, max_concurrent=4, run=asked.run, observe=observed.append) as probes:
        waiting = [asyncio.create_task(probes.result(KEY, TARGET, not_older_than=LONG_AGO)) for _ in range(20)]
        await eventually(lambda: asked.keys, "the first question")
        asked.answer.set()
        results = await asyncio.gather(*waiting)
        assert await probes.result(KEY, TARGET, not_older_than=LONG_AGO) is results[0]
    assert len(asked.keys) == 1
    assert observed == results[:1], "a shared check is counted once"


async def test_other_keys_and_other_settings_ask_for_themselves() -> None:
    asked = Asked()
    asked.answer.set()
    async with SharedProbes(now=lambda: NOW, max_concurrent=4, run=asked.run) as probes:
        await probes.result(KEY, TARGET, not_older_than=LONG_AGO)
        await probes.result(Secret("key-of-a-tenant-2"), TARGET, not_older_than=LONG_AGO)
        await probes.result(KEY, replace(TARGET, model="other"), not_older_than=LONG_AGO)
    assert len(asked.keys) == 3


async def test_result_that_is_too_old_is_not_shared() -> None:
    asked = Asked()
    asked.answer.set()
    async with SharedProbes(now=lambda: NOW, max_concurrent=4, run=asked.run) as probes:
        await probes.result(KEY, TARGET, not_older_than=NOW)
        await probes.result(KEY, TARGET, not_older_than=NOW + timedelta(seconds=1))
    assert len(asked.keys) == 2


async def test_result_from_before_the_clock_was_set_back_is_not_shared() -> None:
    asked, clock = Asked(), [NOW]
    asked.answer.set()
    async with SharedProbes(max_concurrent=4, run=asked.run, now=lambda: clock[0]) as probes:
        await probes.result(KEY, TARGET, not_older_than=LONG_AGO)
        clock[0] = NOW - timedelta(hours=1)
        await probes.result(KEY, TARGET, not_older_than=LONG_AGO)
    assert len(asked.keys) == 2


async def test_only_so_many_checks_run_at_the_same_time() -> None:
    asked = Asked()
    async with SharedProbes(now=lambda: NOW, max_concurrent=3, run=asked.run) as probes:
        waiting = [asyncio.create_task(probes.result(Secret(f"key-{n}"), TARGET, not_older_than=NOW)) for n in range(10)]
        await eventually(lambda: asked.under_way == 3, "three checks under way")
        asked.answer.set()
        await asyncio.gather(*waiting)
    assert asked.most_at_once == 3


async def test_caller_that_gives_up_leaves_the_check_to_the_others() -> None:
    asked = Asked()
    async with SharedProbes(now=lambda: NOW, max_concurrent=1, run=asked.run) as probes:
        impatient, patient = (asyncio.create_task(probes.result(KEY, TARGET, not_older_than=NOW)) for _ in range(2))
        await eventually(lambda: asked.keys, "the question")
        impatient.cancel()
        asked.answer.set()
        assert (await patient).code is ProbeCode.CONNECTED
    assert len(asked.keys) == 1


async def test_memory_of_results_is_bounded() -> None:
    asked = Asked()
    asked.answer.set()
    async with SharedProbes(now=lambda: NOW, max_concurrent=1, max_results=2, run=asked.run) as probes:
        for number in (1, 2, 3, 1):
            await probes.result(Secret(f"key-{number}"), TARGET, not_older_than=LONG_AGO)
    assert asked.keys == ["key-1", "key-2", "key-3", "key-1"]


async def test_closing_ends_checks_under_way() -> None:
    asked = Asked()
    async with SharedProbes(now=lambda: NOW, max_concurrent=1, run=asked.run) as probes:
        waiting = asyncio.create_task(probes.result(KEY, TARGET, not_older_than=NOW))
        await eventually(lambda: asked.under_way, "the question")
    assert asked.under_way == 0
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_digest_tells_keys_apart_in_this_process_alone() -> None:
    async with SharedProbes(max_concurrent=1) as one, SharedProbes(max_concurrent=1) as other:
        assert one.digest(KEY) == one.digest(Secret(KEY.reveal()))
        assert one.digest(KEY) != one.digest(Secret("another-key-123"))
        assert one.digest(KEY) != other.digest(KEY)


async def test_bundle_without_a_certificate_is_the_endpoints_tls_error() -> None:
    async with SharedProbes(max_concurrent=1) as probes:
        result = await probes.result(KEY, replace(TARGET, ca_bundle="nonsense"), not_older_than=NOW)
    assert result.code is ProbeCode.TLS_ERROR


async def test_real_checks_go_through() -> None:
    async with running_simulator() as mistral, SharedProbes(max_concurrent=2) as probes:
        target = ProbeTarget(base_url=mistral.base_url, model="mistral-medium-latest", voice="voice_478")
        for number in range(5):
            await mistral.add_key(f"k{number}", f"another-key-{number}")
        keys = [TEST_KEY, *(f"another-key-{number}" for number in range(5)), "wrong-key"]
        found = await asyncio.gather(*(probes.result(Secret(key), target, not_older_than=NOW) for key in keys))
    assert [result.code for result in found] == [ProbeCode.CONNECTED] * 6 + [ProbeCode.UNAUTHORIZED]


async def test_an_endpoint_that_keeps_its_checks_waiting_takes_no_turns_from_another() -> None:
    asked = Asked()
    async with SharedProbes(now=lambda: NOW, max_concurrent=1, run=asked.run) as probes:
        elsewhere = replace(TARGET, base_url="https://another.example")
        waiting = [asyncio.create_task(probes.result(KEY, target, not_older_than=NOW)) for target in (TARGET, elsewhere)]
        await eventually(lambda: asked.under_way == 2, "a check at each endpoint")
        asked.answer.set()
        await asyncio.gather(*waiting)
