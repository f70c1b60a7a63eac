"""The status of a former visit, read whatever it is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mistral_voice.controller.previous import PreviousStatus, parse_status, parse_time


@pytest.mark.parametrize("raw", [None, {}, [], "text", 7])
def test_no_status_is_an_empty_one(raw: Any) -> None:
    assert parse_status(raw) == PreviousStatus()


def test_what_can_be_read_is_read_and_the_rest_is_absent() -> None:
    raw = {
        "observedGeneration": True,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "yesterday"}, {"no": "type"}, 7],
        "connection": {"consecutiveFailures": -1},
        "credential": "none",
        "issues": [{"code": "x"}, "y"],
    }
    read = parse_status(raw)
    assert read.observed_generation is None
    assert list(read.conditions) == ["Ready"]
    assert read.conditions["Ready"].last_transition_time is None
    assert read.consecutive_failures == 0
    assert read.credential == {}
    assert read.issues == ({"code": "x"},)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-22T14:30:07Z", datetime(2026, 11, 22, 14, 30, 7, tzinfo=UTC)),
        ("2026-11-22T16:30:07+02:00", datetime(2026, 11, 22, 14, 30, 7, tzinfo=UTC)),
        ("2026-11-22T14:30:07", None),
        ("soon", None),
        (None, None),
    ],
)
def test_times(text: Any, time: datetime | None) -> None:
    assert parse_time(text) == time
