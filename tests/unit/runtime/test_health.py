import aiohttp
from prometheus_client import Counter

from mistral_voice.runtime.health import health_app, serving
from mistral_voice.runtime.metrics import loop_lag_histogram, observing_loop_lag, process_registry
from tests.support.waiting import eventually


async def test_the_side_port_tells_liveness_readiness_and_metrics() -> None:
    registry = process_registry()
    Counter("mistral_voice_example", "An example.", registry=registry).inc()
    reason: str | None = "The watch has not synced yet."
    app = health_app(registry, lambda: reason, further_series=lambda: b"mistral_voice_more 1\n")
    async with serving(app, "127.0.0.1", 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        async with client.get("/healthz") as answer:
            assert answer.status == 200
        async with client.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "The watch has not synced yet.\n")
        reason = None
        async with client.get("/readyz") as answer:
            assert answer.status == 200
        async with client.get("/metrics") as answer:
            text = await answer.text()
        assert "mistral_voice_example_total 1.0" in text
        assert "mistral_voice_more 1" in text
        assert "process_cpu_seconds_total" in text


async def test_the_lag_of_the_loop_is_sampled_while_the_context_lasts() -> None:
    registry = process_registry()
    lag = loop_lag_histogram("mistral_voice_test", registry)

    def samples() -> float:
        return registry.get_sample_value("mistral_voice_test_event_loop_lag_seconds_count") or 0

    async with observing_loop_lag(lag, interval_seconds=0.001):
        await eventually(lambda: samples() >= 3, "three samples")
