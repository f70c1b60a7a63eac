"""Which answer wins, over all combinations of answers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from mistral_voice.controller.health.judgement import Answers, Judgement, Unfinished, judge
from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.mistral.errors import (
    ConnectionFailed,
    InvalidAnswer,
    MistralError,
    NameNotResolved,
    NoAnswerInTime,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    TlsFailed,
    Unauthorized,
)
from mistral_voice.mistral.rest import Capabilities, Model, Voice

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
TARGET = ProbeTarget(base_url="https://mistral.example", model="chat", voice="v", transcription_model="hear", speech_model="speak")
MODELS = [
    Model("chat", capabilities=Capabilities(completion_chat=True)),
    Model("hear", capabilities=Capabilities(completion_chat=False, audio_transcription_realtime=True)),
    Model("speak-1", aliases=["speak"], capabilities=Capabilities(audio_speech=True)),
]
ERRORS: list[MistralError] = [
    Unauthorized("no"),
    PermissionDenied("no"),
    NotFound("no"),
    RequestRefused("no"),
    RateLimited("no", 3),
    ServerTrouble("no", 503, 4),
    NoAnswerInTime("no"),
    ConnectionFailed("no"),
    NameNotResolved("no"),
    TlsFailed("no"),
    InvalidAnswer("no"),
]
FAILURE = st.sampled_from(ERRORS) | st.just(Unfinished())
ANSWERS = st.builds(
    Answers,
    whoami=st.none() | FAILURE,
    models=st.sampled_from([MODELS, MODELS[:1], []]) | FAILURE,
    voice=st.sampled_from([Voice("v"), None]) | FAILURE,
)


def judged(answers: Answers, target: ProbeTarget = TARGET) -> Judgement:
    return judge(target, answers, NOW, 5000)


@generated(ANSWERS)
def test_only_a_complete_and_good_answer_connects(answers: Answers) -> None:
    connected = judged(answers).code is ProbeCode.CONNECTED
    assert connected == (answers.models == MODELS and answers.voice == Voice("v"))


@generated(ANSWERS)
def test_clear_answer_wins_over_trouble(answers: Answers) -> None:
    found = judged(answers)
    clear = isinstance(answers.models, Unauthorized | PermissionDenied | list) and answers.models != MODELS
    clear |= isinstance(answers.voice, Unauthorized | PermissionDenied) or answers.voice is None
    if clear:
        assert found.code.definite


@generated(ANSWERS)
def test_refused_key_is_never_called_accepted_and_an_unknown_one_is_called_so(answers: Answers) -> None:
    found = judged(answers)
    if found.code is ProbeCode.UNAUTHORIZED:
        assert found.key_accepted is False
    elif found.code is ProbeCode.CONNECTED:
        assert found.key_accepted is True
    else:
        assert found.key_accepted in (True, None)


@generated(ANSWERS)
def test_message_is_a_sentence(answers: Answers) -> None:
    assert judged(answers).message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServerTrouble("no", 503), ProbeCode.UPSTREAM_ERROR),
        (NoAnswerInTime("no"), ProbeCode.UPSTREAM_TIMEOUT),
        (ConnectionFailed("no"), ProbeCode.CONNECTION_FAILED),
        (NameNotResolved("no"), ProbeCode.NAME_NOT_RESOLVED),
        (TlsFailed("no"), ProbeCode.TLS_ERROR),
        (InvalidAnswer("no"), ProbeCode.INVALID_ANSWER),
        (NotFound("no"), ProbeCode.INVALID_ANSWER),
        (RequestRefused("no"), ProbeCode.INVALID_ANSWER),
        (RateLimited("no"), ProbeCode.RATE_LIMITED),
        (Unfinished(), ProbeCode.UPSTREAM_TIMEOUT),
    ],
)
def test_trouble_has_a_name(error: MistralError | Unfinished, code: ProbeCode) -> None:
    assert judged(Answers(None, error, Voice("v"))).code is code
    assert judged(Answers(None, MODELS, error)).code is code


def test_model_of_which_mistral_says_nothing_is_given_the_benefit_of_the_doubt() -> None:
    silent = [Model("chat"), Model("hear"), Model("speak")]
    assert judged(Answers(None, silent, Voice("v"))).code is ProbeCode.CONNECTED


@pytest.mark.parametrize("when", ["2026-11-22T14:30:00Z", "2026-11-22", "2026-11-22T14:29:59+00:00"])
def test_model_is_retired_from_its_date_on(when: str) -> None:
    retired = [Model("chat", deprecation=when, deprecation_replacement_model="chat-2"), *MODELS[1:]]
    found = judged(Answers(None, retired, Voice("v")))
    assert found.code is ProbeCode.MODEL_RETIRED
    assert "chat-2" in found.message


def test_date_that_cannot_be_read_is_no_date() -> None:
    odd = [Model("chat", deprecation="soon"), *MODELS[1:]]
    assert judged(Answers(None, odd, Voice("v"))) == Judgement(ProbeCode.CONNECTED, "The key is accepted; models and voice exist.", True)


def test_alias_that_moves_on_by_itself_needs_no_warning() -> None:
    ageing = [Model("chat-1", aliases=["chat-latest"], deprecation="2099-01-01T00:00:00Z"), *MODELS[1:]]
    target = ProbeTarget(base_url="", model="chat-latest", voice="v", transcription_model="hear", speech_model="speak")
    assert judged(Answers(None, ageing, Voice("v")), target).warnings == ()


@pytest.mark.parametrize("trouble", [RateLimited("no", 3), ServerTrouble("no", 503, 4), NoAnswerInTime("no"), Unfinished()])
def test_a_key_that_may_not_ask_who_it_is_is_not_called_refused_while_mistral_has_trouble(trouble: MistralError | Unfinished) -> None:
    found = judged(Answers(whoami=Unauthorized("no"), models=trouble, voice=Voice("v")))
    assert found.code is not ProbeCode.UNAUTHORIZED
    assert found.key_accepted
