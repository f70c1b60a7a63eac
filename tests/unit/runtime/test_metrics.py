"""The registry that every process has."""

from prometheus_client import Counter, generate_latest

from mistral_voice.runtime.metrics import loop_lag_histogram, process_registry


def test_no_series_tells_when_another_began() -> None:
    registry = process_registry()
    Counter("voice_turns", "Turns.", ["mode"], registry=registry).labels("byok").inc()
    loop_lag_histogram("voice", registry).observe(0.1)
    text = generate_latest(registry).decode()
    assert 'voice_turns_total{mode="byok"} 1.0' in text
    assert "voice_event_loop_lag_seconds_bucket" in text
    assert "_created" not in text
