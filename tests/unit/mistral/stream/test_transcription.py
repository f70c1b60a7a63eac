"""What Mistral's transcription tells, as it is read."""

from typing import Any

import msgspec
import pytest

from mistral_voice.mistral.stream.transcription import LONGEST_SECONDS, TranscriptionSocket
from mistral_voice.mistral.stream.turn_events import TurnEvent, TurnSign


class _Socket:
    """A socket on which one event comes."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._event = event

    async def receive(self) -> bytes:
        return msgspec.json.encode(self._event)


async def read(event: dict[str, Any]) -> Any:
    return await TranscriptionSocket(_Socket(event), wants_turns=True).receive()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("time_s", "at_ms"),
    [(1.5, 1500), (0, 0), (-0.25, 0), (1e308, LONGEST_SECONDS * 1000), (-1e308, 0), (10**300, LONGEST_SECONDS * 1000)],
    ids=["within", "beginning", "before", "beyond", "far before", "a long number"],
)
async def test_where_a_turn_ends_is_a_place_in_the_audio_whatever_mistral_tells(time_s: float, at_ms: float) -> None:
    assert await read({"type": "turn.end", "time_s": time_s}) == TurnEvent(TurnSign.END, at_ms)
