"""Freed memory goes back to the system."""

import platform

import psutil
import pytest

from mistral_voice.runtime.freed_memory import give_back

PIECE_BYTES = 64 * 1024
PIECES = 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries can't")
def test_what_was_freed_in_front_of_what_lives_is_given_back() -> None:
    process = psutil.Process()
    pieces = [bytearray(b"x" * PIECE_BYTES) for _ in range(PIECES)]
    del pieces[:-1]
    before = process.memory_info().rss
    assert give_back()
    assert before - process.memory_info().rss > PIECE_BYTES * PIECES / 2
