import pytest
from prometheus_client.parser import text_string_to_metric_families

from mistral_voice.controller.check import check
from mistral_voice.controller.figures import figures_of
from mistral_voice.controller.managed.facts import Platform
from mistral_voice.controller.metrics import IntegrationFigures, IntegrationSeries
from mistral_voice.controller.status import derive
from tests.unit.controller.given import MISSING, claiming, known, plan, platform


def samples(series: IntegrationSeries) -> dict[tuple[str, str, str], float]:
    return {
        (sample.name, sample.labels["integration"], sample.labels.get("reason", sample.labels.get("model", ""))): sample.value
        for family in text_string_to_metric_families(series.exposition().decode())
        for sample in family.samples
    }


def test_an_integration_has_at_most_five_series_that_prometheus_can_read() -> None:
    series = IntegrationSeries()
    series.set(
        IntegrationFigures("team", "support", "byok", "mistral-medium-latest", False, "Unauthorized", False, "Unauthorized", 0.25, 1000.0)
    )
    assert samples(series) == {
        ("mistral_voice_integration_info", "support", "mistral-medium-latest"): 1,
        ("mistral_voice_integration_ready", "support", "Unauthorized"): 0,
        ("mistral_voice_probe_success", "support", "Unauthorized"): 0,
        ("mistral_voice_probe_duration_seconds", "support", ""): 0.25,
        ("mistral_voice_probe_last_success_timestamp_seconds", "support", ""): 1000,
    }


def test_a_managed_integration_is_told_with_its_plan() -> None:
    series, state = IntegrationSeries(), claiming()
    series.set(figures_of(state, derive(state, check(state))))
    assert 'mode="managed",plan="standard"' in series.exposition().decode()


@pytest.mark.parametrize(
    ("around", "success", "cause"),
    [
        (platform(), True, ""),
        (platform(active_keys=0), False, "NoActiveKey"),
        (platform(plan(stopPolicy="Hold")), False, "PlanHeld"),
        (platform(active_keys=None), None, ""),
        (platform(plan=None, pool=None), None, ""),
    ],
)
def test_what_the_platform_says_stands_for_a_check(around: Platform, success: bool | None, cause: str) -> None:
    state = claiming(around)
    figures = figures_of(state, derive(state, check(state)))
    assert (figures.probe_success, figures.probe_reason) == (success, cause)


def test_what_is_not_known_yet_has_no_series() -> None:
    series = IntegrationSeries()
    series.set(IntegrationFigures("team", "support", "byok", "m", True, "", True, "", 0.1, 1.0))
    series.set(IntegrationFigures("team", "support", "byok", "m", True))
    assert {name for name, _, _ in samples(series)} == {"mistral_voice_integration_info", "mistral_voice_integration_ready"}


def test_a_check_of_a_key_that_is_gone_counts_for_nothing() -> None:
    gone = known(credential=MISSING)
    assert figures_of(gone, derive(gone, check(gone))).probe_success is None


def test_the_series_of_a_deleted_integration_go_with_it() -> None:
    series = IntegrationSeries()
    series.set(IntegrationFigures("team", "support", "byok", "m", True))
    series.remove("team", "support")
    assert series.exposition() == b""


def test_a_label_value_cannot_break_out_of_its_quotes() -> None:
    series = IntegrationSeries()
    series.set(IntegrationFigures("team", "support", "byok", 'x"} 1\nforged{a="\\', True))
    assert ("mistral_voice_integration_info", "support", 'x"} 1\nforged{a="\\') in samples(series)
    assert "forged" not in {name for name, _, _ in samples(series)}
