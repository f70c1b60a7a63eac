"""What a client may change, and what its changes do."""

import pytest

from mistral_voice.contract.gateway_config import GatewayConfig, Integration, Limits, Policy, SessionDefaults, Upstream
from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import (
    Eagerness,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionPatch,
    Transcription,
    TranscriptionPatch,
    TurnDetectionKind,
    TurnDetectionPatch,
    merge,
)
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.policy import DEFAULT_INSTRUCTIONS, policy_of
from tests.support.session import Desk, a_policy
from tests.support.speaking import reply_of


def config_after(*patches: SessionPatch) -> SessionConfig:
    policy = a_policy()
    config = policy.defaults()
    for patch in patches:
        config = policy.apply(config, patch)
    return config


def test_an_update_leaves_alone_what_it_does_not_name() -> None:
    config = config_after(
        SessionPatch(instructions="Be kind.", turn_detection=TurnDetectionPatch(threshold=0.7, silence_duration_ms=900)),
        SessionPatch(turn_detection=TurnDetectionPatch(silence_duration_ms=300)),
        SessionPatch(transcription=TranscriptionPatch(language="fr")),
        SessionPatch(transcription=TranscriptionPatch()),
    )
    assert config.instructions == "Be kind."
    assert config.turn_detection == ServerVad(threshold=0.7, silence_duration_ms=300)
    assert config.transcription == Transcription("fr")


def test_an_explicit_null_clears() -> None:
    config = config_after(
        SessionPatch(turn_detection=TurnDetectionPatch(threshold=0.7), transcription=TranscriptionPatch(), max_output_tokens=5),
        SessionPatch(turn_detection=TurnDetectionPatch(threshold=None), transcription=None, max_output_tokens=None),
    )
    assert config.turn_detection == ServerVad()
    assert config.transcription is None
    assert config.max_output_tokens is None
    assert config_after(SessionPatch(turn_detection=None)).turn_detection is None


@pytest.mark.parametrize("name", ["gpt-realtime", "gpt-4o-realtime-preview", "default", ""])
def test_openais_model_names_stand_for_the_integrations_own(name: str) -> None:
    assert a_policy().resolve_model(name) == "m"


@pytest.mark.parametrize("name", ["ash", "alloy", "marin", "default"])
def test_openais_voice_names_stand_for_the_integrations_own(name: str) -> None:
    assert a_policy().resolve_voice(name) == "v"


def test_an_allowed_name_is_taken_and_another_refused_with_what_there_is() -> None:
    policy = a_policy()
    assert (policy.resolve_model("m2"), policy.resolve_voice("v2")) == ("m2", "v2")
    with pytest.raises(Refused, match="'mistral-large-4'; it offers m, m2") as refused:
        policy.resolve_model("mistral-large-4")
    assert refused.value.code == "model_not_allowed"
    with pytest.raises(Refused, match="it offers v, v2"):
        policy.resolve_voice("somebody")


@pytest.mark.parametrize(
    ("patch", "param"),
    [
        (SessionPatch(voice="somebody"), "session.audio.output.voice"),
        (SessionPatch(model="mistral-large-4"), "session.model"),
        (SessionPatch(max_output_tokens=5000), "session.max_output_tokens"),
        (SessionPatch(turn_detection=TurnDetectionPatch(threshold=1.5)), "session.audio.input.turn_detection.threshold"),
        (SessionPatch(turn_detection=TurnDetectionPatch(silence_duration_ms=0)), "session.audio.input.turn_detection.silence_duration_ms"),
        (SessionPatch(instructions="x" * 100_001), "session.instructions"),
    ],
)
def test_a_refused_update_changes_nothing_and_names_its_field(patch: SessionPatch, param: str) -> None:
    desk = Desk()
    mixed = SessionPatch(**{**{field: getattr(patch, field) for field in patch.__struct_fields__}, "transcription": TranscriptionPatch()})
    desk.give(inputs.UpdateSession(mixed, "e1"))
    error = desk.last(events.ErrorOccurred)
    assert (error.param, error.client_event_id) == (param, "e1")
    desk.give(inputs.UpdateSession(SessionPatch()))
    assert desk.last(events.SessionUpdated).session.config == a_policy().defaults()


@pytest.mark.parametrize("kind", list(TurnDetectionKind))
def test_push_to_talk_is_the_limit(kind: TurnDetectionKind) -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    assert desk.last(commands.Detect).settings is None
    desk.give(inputs.UpdateSession(SessionPatch(instructions="Never.", turn_detection=TurnDetectionPatch(kind=kind))))
    assert desk.last(events.ErrorOccurred).code == "turn_detection_not_allowed"
    assert not desk.all(events.SessionUpdated)
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=None)))
    assert desk.last(events.SessionUpdated).session.config.turn_detection is None


def test_under_voice_activity_a_client_may_choose_any_kind() -> None:
    desk = Desk()
    for kind, settings in ((TurnDetectionKind.SEMANTIC_VAD, SemanticVad()), (TurnDetectionKind.SERVER_VAD, ServerVad())):
        desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(kind=kind))))
        assert desk.last(events.SessionUpdated).session.config.turn_detection == settings
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=None)))
    assert desk.last(events.SessionUpdated).session.config.turn_detection is None


def test_a_kind_keeps_what_both_know_and_forgets_the_rest() -> None:
    semantic = TurnDetectionPatch(kind=TurnDetectionKind.SEMANTIC_VAD, threshold=0.9)
    config = config_after(
        SessionPatch(turn_detection=TurnDetectionPatch(create_response=False, threshold=0.7)),
        SessionPatch(turn_detection=semantic),
        SessionPatch(turn_detection=TurnDetectionPatch(eagerness=Eagerness.LOW)),
    )
    assert config.turn_detection == SemanticVad(Eagerness.LOW, create_response=False)
    back = merge(config, SessionPatch(turn_detection=TurnDetectionPatch(kind=TurnDetectionKind.SERVER_VAD)), a_policy().defaults())
    assert back.turn_detection == ServerVad(create_response=False)


def test_the_voice_is_fixed_after_the_first_audio() -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(voice="v2")), inputs.CreateResponse())
    reply_of(desk)
    desk.give(inputs.UpdateSession(SessionPatch(voice="v")))
    assert desk.last(events.ErrorOccurred).code == "cannot_update_voice"
    desk.give(inputs.CreateResponse(inputs.ResponseOptions(voice="v")))
    assert desk.last(events.ErrorOccurred).code == "cannot_update_voice"
    before = len(desk.all(events.SessionUpdated))
    desk.give(inputs.UpdateSession(SessionPatch(voice="v2", instructions="Go on.")))
    assert len(desk.all(events.SessionUpdated)) == before + 1


def test_settings_of_detection_that_did_not_change_leave_the_detector_alone() -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(threshold=0.5))))
    assert len(desk.all(commands.Detect)) == 1


def test_the_integrations_instructions_come_first_and_are_not_shown() -> None:
    policy = a_policy(instructions="Never speak of prices.")
    assert policy.system_text("Be kind.") == "Never speak of prices.\n\nBe kind."
    assert policy.defaults().instructions == ""
    assert a_policy().defaults().instructions == DEFAULT_INSTRUCTIONS


def test_the_policy_is_what_the_configuration_says() -> None:
    policy = policy_of(
        GatewayConfig(
            Integration("ns", "n"),
            Upstream("https://api.mistral.ai", "/key", transcription_model="t", speech_model="s"),
            SessionDefaults("mistral-medium-latest", "voice_478", "push_to_talk", 60),
            Limits(10, 60),
            "/tokens",
            Policy(allowed_models=("ministral-8b-latest",), allowed_voices=("voice_592",), instructions="Hi."),
        )
    )
    assert policy.models == {"mistral-medium-latest", "ministral-8b-latest"}
    assert policy.voices == {"voice_478", "voice_592"}
    assert policy.manual_turns_only
    assert policy.max_duration_ms == 60_000
    assert (policy.transcription_model, policy.speech_model) == ("t", "s")
