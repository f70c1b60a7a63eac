"""What a close frame says."""

import pytest

from mistral_voice.runtime.close_reason import LONGEST_BYTES, close_reason


@pytest.mark.parametrize("text", ["", "The session has ended.", "x" * 122 + "é and more", "é" * 100, "🙂" * 40, "\ud800 half"])
def test_a_reason_is_cut_after_a_whole_character(text: str) -> None:
    reason = close_reason(text)
    assert len(reason) <= LONGEST_BYTES
    assert text.encode(errors="replace").decode().startswith(reason.decode())
    assert len(reason) > LONGEST_BYTES - 4 or reason == text.encode(errors="replace")
