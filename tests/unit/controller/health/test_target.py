"""What a check looks at follows from the integration."""

import pytest

from mistral_voice.controller.health.target import ProbeTarget, probe_target
from mistral_voice.controller.input import Input
from tests.unit.controller.given import ENDPOINT_WITH_CA, known, operator_file


def test_target_is_the_endpoint_the_model_and_the_voice_with_default_resolved() -> None:
    state = known(spec={"policy": {"allowedModels": ["b", "a", "b"]}}, operator=operator_file(endpoints=(ENDPOINT_WITH_CA,)))
    assert probe_target(state) == ProbeTarget(
        base_url="https://mistral.example",
        model="mistral-medium-latest",
        voice="voice_478",
        ca_bundle=ENDPOINT_WITH_CA.ca_bundle,
        transcription_model="voxtral-mini-transcribe-realtime-latest",
        speech_model="voxtral-mini-tts-latest",
        allowed_models=("a", "b"),
    )


@pytest.mark.parametrize(
    "state",
    [
        known(spec=None),
        known(spec={"endpoint": "mars"}),
        known(spec={"mode": "managed", "planRef": {"name": "p"}, "secretRef": None}),
    ],
    ids=["invalid spec", "unknown endpoint", "managed"],
)
def test_nothing_to_look_at(state: Input) -> None:
    assert probe_target(state) is None


def test_what_does_not_touch_mistral_leaves_the_target_and_so_the_result_as_it_is() -> None:
    assert probe_target(known(spec={"gateway": {"replicas": 5}, "suspend": True})) == probe_target(known())
