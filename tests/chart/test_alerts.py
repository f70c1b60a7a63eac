"""The alerts as the chart ships them, rehearsed by promtool: each fires when it shall, and stays silent when it shall."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.promtool import find_promtool
from tests.chart.rendering import NAME, Helm, one, series_in

REHEARSALS = Path(__file__).parent / "alerts"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "alerts"
RUNBOOK_URL = "https://runbooks.example.com"


@pytest.fixture(scope="module")
def promtool() -> Path:
    return find_promtool(dict(os.environ))


@pytest.fixture(scope="module")
def groups(helm: Helm) -> list[dict[str, Any]]:
    objects = helm.objects({"prometheusRule": {"enabled": True, "runbookUrlBase": f"{RUNBOOK_URL}/"}})
    return list(one(objects, "PrometheusRule", NAME)["spec"]["groups"])


@pytest.fixture
def folder(tmp_path: Path, groups: list[dict[str, Any]]) -> Path:
    """A folder with the rules as Prometheus reads them."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    return tmp_path


def alerts(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def rehearsed() -> list[tuple[str, bool]]:
    """Each alert that is rehearsed, and whether it was expected to fire."""
    files = [yaml.safe_load(file.read_text()) for file in REHEARSALS.glob("*.yaml")]
    cases = [case for file in files for test in file["tests"] for case in test["alert_rule_test"]]
    return [(case["alertname"], bool(case["exp_alerts"])) for case in cases]


def test_prometheus_accepts_the_rules(promtool: Path, folder: Path) -> None:
    result = subprocess.run(
        [promtool, "check", "rules", "--lint-fatal", folder / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_understands_the_dashboards_queries(promtool: Path, helm: Helm, tmp_path: Path) -> None:
    config = one(helm.objects({"grafanaDashboard": {"enabled": True}}), "ConfigMap", f"{NAME}-dashboard")
    dashboards = [json.loads(text) for text in config["data"].values()]
    queries = [target["expr"] for board in dashboards for panel in board["panels"] for target in panel.get("targets", [])]
    filled = [query.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$integration", ".*") for query in queries]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(filled)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    result = subprocess.run([promtool, "check", "rules", tmp_path / "queries.yaml"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("rehearsal", sorted(file.name for file in REHEARSALS.glob("*.yaml")))
def test_every_alert_fires_and_stays_silent_as_rehearsed(promtool: Path, folder: Path, rehearsal: str) -> None:
    shutil.copy(REHEARSALS / rehearsal, folder)
    result = subprocess.run([promtool, "test", "rules", folder / rehearsal], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_alert_goes_unrehearsed_neither_firing_nor_silent(groups: list[dict[str, Any]]) -> None:
    for fires in (True, False):
        assert {name for name, fired in rehearsed() if fired is fires} == set(alerts(groups))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(groups: list[dict[str, Any]]) -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} == set(alerts(groups))
    for name, rule in alerts(groups).items():
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOK_URL}/{name}.md"
        assert (RUNBOOKS / f"{name}.md").read_text().startswith(f"# {name}\n")


def test_an_alert_says_how_bad_it_is_and_what_it_is_about(groups: list[dict[str, Any]]) -> None:
    for rule in alerts(groups).values():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert "for" in rule
        assert rule["annotations"]["summary"].rstrip().endswith(".")
        assert rule["annotations"]["description"].rstrip().endswith(".")


def test_labels_of_the_platforms_own_are_added_to_every_alert(helm: Helm) -> None:
    objects = helm.objects({"prometheusRule": {"enabled": True, "alertLabels": {"team": "voice"}, "labels": {"release": "prometheus"}}})
    rule = one(objects, "PrometheusRule", NAME)
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert all(alert["labels"]["team"] == "voice" and "severity" in alert["labels"] for alert in alerts(rule["spec"]["groups"]).values())


def test_rules_ask_for_series_that_are_documented(groups: list[dict[str, Any]]) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    expressions = " ".join(rule["expr"] for group in groups for rule in group["rules"])
    for name in series_in(expressions):
        assert name in documented, f"{name} is not in docs/metrics.md"


def test_the_platform_says_how_many_keys_of_a_pool_are_too_few(helm: Helm) -> None:
    objects = helm.objects({"prometheusRule": {"enabled": True, "poolMinActiveKeys": 3}})
    rule = alerts(one(objects, "PrometheusRule", NAME)["spec"]["groups"])["MistralVoicePoolKeysLow"]
    assert rule["expr"].endswith("mistral_voice_control_plane_active_keys) < 3")


def test_the_platform_says_how_long_before_its_end_a_certificate_is_told_of(helm: Helm) -> None:
    objects = helm.objects({"prometheusRule": {"enabled": True, "certificateDays": 7}})
    rule = alerts(one(objects, "PrometheusRule", NAME)["spec"]["groups"])["MistralVoiceCertificateExpires"]
    assert rule["expr"].count("time() < 7 * 86400") == 2
