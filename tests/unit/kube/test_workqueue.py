import asyncio
import logging
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_voice.kube.workqueue import Backoff, PassResult, WorkQueue
from tests.support.waiting import eventually


class Figures:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def added(self) -> None:
        self.counts["added"] += 1

    def retried(self) -> None:
        self.counts["retried"] += 1

    def taken(self, waited_seconds: float) -> None:
        assert waited_seconds >= 0
        self.counts["taken"] += 1

    def finished(self, worked_seconds: float, result: PassResult) -> None:
        assert worked_seconds >= 0
        self.counts[result] += 1


async def test_a_key_is_never_processed_twice_at_once_and_changes_meanwhile_are_seen_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue(workers=4)
    under_way: Counter[str] = Counter()
    seen: list[tuple[str, int]] = []
    version = 0
    release = asyncio.Event()

    async def process(key: str) -> None:
        under_way[key] += 1
        assert under_way[key] == 1
        seen.append((key, version))
        await release.wait()
        under_way[key] -= 1

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.run(process))
        queue.add("a")
        await eventually(lambda: seen, "the first pass")
        version = 1
        for _ in range(10):
            queue.add("a")
        release.set()
        await eventually(lambda: len(seen) == 2, "the second pass")
        queue.stop()
    assert seen == [("a", 0), ("a", 1)]


async def test_ten_thousand_keys_are_processed_once_each_by_no_more_workers_than_there_are() -> None:
    queue: WorkQueue[int] = WorkQueue(workers=16)
    counts: Counter[int] = Counter()
    most = 0

    async def process(key: int) -> None:
        nonlocal most
        most = max(most, queue.active_workers)
        await asyncio.sleep(0)
        counts[key] += 1

    for number in range(10_000):
        queue.add(number, low=True)
        queue.add(number, low=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(queue.run(process))
        await eventually(lambda: len(counts) == 10_000, "all keys")
        queue.stop()
    assert set(counts.values()) == {1}
    assert 1 < most <= 16
    assert len(queue) == 0


async def test_errors_come_again_with_growing_delays_until_they_cease(caplog: pytest.LogCaptureFixture) -> None:
    figures = Figures()
    queue: WorkQueue[str] = WorkQueue(workers=1, backoff=Backoff(base_seconds=0.001, max_seconds=0.004), observer=figures)
    passes = 0

    async def process(_key: str) -> None:
        nonlocal passes
        passes += 1
        if passes < 5:
            raise RuntimeError("not yet")

    with caplog.at_level(logging.WARNING):
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.run(process))
            queue.add("a")
            await eventually(lambda: passes == 5, "the pass that succeeds")
            queue.stop()
    assert figures.counts == {"added": 5, "taken": 5, "retried": 4, "error": 4, "success": 1}
    assert "Processing a failed" in caplog.text


async def test_a_key_comes_again_when_its_pass_says_and_not_at_the_delay_it_had_before() -> None:
    queue: WorkQueue[str] = WorkQueue(workers=1)
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def process(_key: str) -> float | None:
        times.append(loop.time())
        return 0.02 if len(times) < 3 else None

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.run(process))
        queue.add_after("a", 3600)
        queue.add_after("a", 0.01)
        queue.add_after("a", 1800)
        await eventually(lambda: len(times) == 3, "three passes")
        queue.stop()
    assert all(later - earlier >= 0.019 for earlier, later in pairwise(times))
    assert queue._pending.next_due() is None


async def test_stopping_lets_running_passes_end_and_begins_no_other() -> None:
    queue: WorkQueue[str] = WorkQueue(workers=1)
    begun, release, ended = asyncio.Event(), asyncio.Event(), []

    async def process(key: str) -> None:
        begun.set()
        await release.wait()
        ended.append(key)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(queue.run(process))
        queue.add("a")
        queue.add("b")
        await begun.wait()
        queue.stop()
        assert not running.done()
        assert queue.longest_running_seconds() > 0
        assert queue.unfinished_work_seconds() > 0
        release.set()
    assert ended == ["a"]
    assert len(queue) == 1


async def test_cancelling_ends_every_worker_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue(workers=8)

    async def process(_key: str) -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(queue.run(process))
    queue.add("a")
    await eventually(lambda: queue.active_workers == 1, "the pass to begin")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert queue.active_workers == 0


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delays_never_shrink_with_failures_nor_exceed_the_maximum(failures: int, chance: float) -> None:
    backoff = Backoff(base_seconds=0.05, max_seconds=60, jitter=0.2)
    delay = backoff.delay_seconds(failures, chance)
    assert 0.04 <= delay <= 60
    assert backoff.delay_seconds(failures + 1, chance) >= delay
