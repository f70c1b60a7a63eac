from pathlib import Path

import pytest

from mistral_voice.controller.settings import OperatorFile, SettingsError, parse, read_file


def written(folder: Path, text: str) -> Path:
    path = folder / "operator.yaml"
    path.write_text(text)
    return path


def test_an_image_is_enough_and_the_rest_has_defaults(tmp_path: Path) -> None:
    file = read_file(written(tmp_path, "image: mistral-voice-operator:1\n"))
    assert [(endpoint.name, endpoint.url) for endpoint in file.endpoints] == [("default", "https://api.mistral.ai")]
    assert (file.rollout_pace, file.leader_election.lease_duration_seconds) == (10, 15)
    assert "10.0.0.0/8" in map(str, file.network_policy.blocked_cidrs)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "image: Field required"),
        ("image: x\nimagee: y", "imagee: Extra inputs are not permitted"),
        ("image: [", "is not YAML"),
        ("image: x\nendpoints: [{name: a, url: 'http://mistral'}]", "an endpoint's url is https://HOST[:PORT]"),
        ("image: x\nendpoints: [{name: a, url: 'https://user:pw@mistral'}]", "an endpoint's url is https://HOST[:PORT]"),
        ("image: x\nendpoints: [{name: a, url: 'https://one'}, {name: a, url: 'https://two'}]", "two endpoints have the same name"),
        ("image: x\nendpoints: [{name: a, url: 'https://one', caBundle: nonsense}]", "caBundle holds no certificates"),
        ("image: x\nendpoints: [{name: a, url: 'https://one', caBundle: 'ä -----BEGIN CERTIFICATE-----'}]", "in ASCII characters only"),
        ("image: x\nnetworkPolicy: {blockedCidrs: [10.0.0.1/8]}", "networkPolicy.blockedCidrs.0"),
        ("image: x\nleaderElection: {leaseDurationSeconds: 5}", "leaderElection: Value error, A lease of 5 s"),
        ("image: x\nmanagedMode: {broker: {url: 'http://b', namespace: n, podLabels: {a: b}}}", "the broker's url is https://HOST[:PORT]"),
        ("image: x\nmanagedMode: {broker: {url: 'https://b', namespace: n, podLabels: {}}}", "managedMode.broker.podLabels"),
        ("image: x\nmanagedMode: {}", "managedMode.broker: Field required"),
        ("image: x\nworkers: 0", "workers: Input should be greater than or equal to 1"),
    ],
)
def test_unusable_settings_are_told_with_file_and_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        read_file(path)
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read: No such file or directory"):
        read_file(tmp_path / "missing.yaml")


def test_no_file_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_VOICE_CONFIG", raising=False)
    with pytest.raises(SettingsError, match="give --config FILE or set MISTRAL_VOICE_CONFIG"):
        parse([])


def test_the_charts_file_is_what_the_operator_reads() -> None:
    # The chart renders every field by its wire name; a field that is renamed here must be renamed there.
    assert {field.alias for field in OperatorFile.model_fields.values()} == {
        "image",
        "imagePullPolicy",
        "defaultVoice",
        "endpoints",
        "clusterDomain",
        "watchNamespaces",
        "managedMode",
        "gateway",
        "networkPolicy",
        "rolloutPace",
        "leaderElection",
        "logLevel",
        "probe",
        "workers",
    }
