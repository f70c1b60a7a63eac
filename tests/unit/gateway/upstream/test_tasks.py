"""Which of two failures is told when a socket breaks."""

import asyncio

import pytest

from mistral_voice.gateway.upstream.tasks import LAST_WORDS_SECONDS, alongside
from mistral_voice.mistral.stream.errors import FaultKind, StreamError

REFUSED = StreamError(FaultKind.REJECTED, "The speech failed: Mistral refused the request. It says: Voice 'nobody' not found.")


async def find_it_closed() -> None:
    raise StreamError(FaultKind.DISCONNECTED, "The speech failed: Mistral closed the connection (code 1006).")


async def read_what_was_said(after_seconds: float) -> None:
    await asyncio.sleep(after_seconds)
    raise REFUSED


async def test_what_mistral_said_before_it_closed_is_told_though_a_write_failed_sooner() -> None:
    with pytest.raises(StreamError, match="Voice 'nobody' not found"):
        await alongside(read_what_was_said(LAST_WORDS_SECONDS / 2), find_it_closed())


async def test_a_closed_socket_of_which_nothing_more_comes_is_told_as_that() -> None:
    with pytest.raises(StreamError, match="code 1006"):
        await alongside(read_what_was_said(3600), find_it_closed())


async def test_any_other_trouble_of_a_helper_is_told_at_once() -> None:
    async def stall() -> None:
        raise StreamError(FaultKind.TIMED_OUT, "The speech failed: Mistral stopped taking data.")

    with pytest.raises(StreamError, match="stopped taking data"):
        await alongside(read_what_was_said(LAST_WORDS_SECONDS / 2), stall())
