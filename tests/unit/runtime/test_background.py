"""A process whose vital task breaks ends, for Kubernetes to start it anew."""

import asyncio

import pytest

from mistral_voice.runtime.background import Background


async def breaks() -> None:
    raise RuntimeError("Something nobody thought of.")


async def runs() -> None:
    await asyncio.Event().wait()


async def test_what_breaks_is_told_and_stops_the_process(caplog: pytest.LogCaptureFixture) -> None:
    background, stopped = Background("broker"), asyncio.Event()
    background.ends(stopped)
    async with background.running(keys=breaks(), directory=runs()):
        await stopped.wait()
        assert background.failure == "The broker's keys broke."
    assert "Something nobody thought of." in caplog.text


async def test_what_broke_before_anybody_listened_stops_the_process_too() -> None:
    background, stopped = Background("broker"), asyncio.Event()
    async with background.running(keys=breaks()):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert background.failure
        background.ends(stopped)
        assert stopped.is_set()


async def test_an_orderly_end_is_no_failure() -> None:
    background, stopped = Background("broker"), asyncio.Event()
    background.ends(stopped)
    async with background.running(directory=runs()):
        await asyncio.sleep(0)
    assert background.failure is None
    assert not stopped.is_set()
