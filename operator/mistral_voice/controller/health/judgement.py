"""From Mistral's answers to what the check found. Pure: a clear answer wins over trouble, the gravest over the lesser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mistral_voice.controller.health.result import ProbeCode, ProbeWarning, WarningCode
from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.mistral.errors import (
    ConnectionFailed,
    MistralError,
    NameNotResolved,
    NoAnswerInTime,
    PermissionDenied,
    RateLimited,
    ServerTrouble,
    TlsFailed,
    Unauthorized,
)
from mistral_voice.mistral.rest import Model, Voice


@dataclass(frozen=True)
class Unfinished:
    """No answer before the deadline."""


@dataclass(frozen=True)
class Answers:
    """What came back: an answer, an error, or nothing in time. A voice of None is the answer that there is none of that name."""

    whoami: MistralError | Unfinished | None
    models: Sequence[Model] | MistralError | Unfinished
    voice: Voice | MistralError | Unfinished | None


@dataclass(frozen=True)
class Judgement:
    """What the answers mean."""

    code: ProbeCode
    message: str
    key_accepted: bool | None
    warnings: tuple[ProbeWarning, ...] = ()
    retry_after_seconds: float | None = None


def judge(target: ProbeTarget, answers: Answers, now: datetime, deadline_ms: int) -> Judgement:
    """Return what the answers mean. `now` decides whether a model is retired."""
    if _refused(answers, Unauthorized):
        return Judgement(ProbeCode.UNAUTHORIZED, "Mistral does not accept the key (401).", key_accepted=False)
    accepted = _key_accepted(answers)
    denied = next((part for part in (answers.models, answers.voice) if isinstance(part, PermissionDenied)), None)
    if denied is not None:
        return Judgement(ProbeCode.PERMISSION_DENIED, str(denied), accepted)
    fault = _clear_fault(target, answers, now)
    if fault is not None:
        return Judgement(*fault, accepted)
    parts = (answers.models, answers.voice)
    limited = next((part for part in parts if isinstance(part, RateLimited)), None)
    if limited is not None:
        return Judgement(ProbeCode.RATE_LIMITED, str(limited), accepted, retry_after_seconds=limited.retry_after_seconds)
    for part in parts:
        if isinstance(part, Unfinished):
            return Judgement(ProbeCode.UPSTREAM_TIMEOUT, f"Mistral did not answer within {deadline_ms} ms.", accepted)
        if isinstance(part, MistralError):
            retry_after = part.retry_after_seconds if isinstance(part, ServerTrouble) else None
            return Judgement(_trouble_code(part), str(part), accepted, retry_after_seconds=retry_after)
    warnings = tuple(_warnings(target, answers.models, now)) if _listed(answers.models) else ()
    return Judgement(ProbeCode.CONNECTED, "The key is accepted; models and voice exist.", accepted, warnings)


def _refused(answers: Answers, kind: type[MistralError]) -> bool:
    # Not every good key may ask who it is, so that refusal says nothing: with a bad key the others are refused as well.
    return isinstance(answers.models, kind) or isinstance(answers.voice, kind)


def _key_accepted(answers: Answers) -> bool | None:
    parts = (answers.whoami, answers.models, answers.voice)
    proof = any(not isinstance(part, MistralError | Unfinished) or isinstance(part, PermissionDenied | RateLimited) for part in parts)
    return True if proof else None


def _listed(models: Sequence[Model] | MistralError | Unfinished) -> bool:
    return not isinstance(models, MistralError | Unfinished)


def _clear_fault(target: ProbeTarget, answers: Answers, now: datetime) -> tuple[ProbeCode, str] | None:
    models = answers.models
    if not isinstance(models, MistralError | Unfinished):
        fault = _chat_fault(target.model, models, now) or _voice_model_fault(target, models, now)
        if fault is not None:
            return fault
    if answers.voice is None:
        return ProbeCode.VOICE_NOT_FOUND, f"There is no voice {target.voice!r} for this key."
    return None


def _chat_fault(name: str, models: Sequence[Model], now: datetime) -> tuple[ProbeCode, str] | None:
    model = _find(name, models)
    if model is None:
        return ProbeCode.MODEL_NOT_FOUND, f"There is no model {name!r} for this key."
    if _retired(model, now):
        return ProbeCode.MODEL_RETIRED, f"The model {name!r} is retired.{_instead(model)}"
    if model.capabilities.completion_chat is False:
        return ProbeCode.MODEL_CANNOT_CHAT, f"The model {name!r} can't chat."
    return None


def _voice_model_fault(target: ProbeTarget, models: Sequence[Model], now: datetime) -> tuple[ProbeCode, str] | None:
    hearing = _find(target.transcription_model, models)
    if hearing is None or _retired(hearing, now) or hearing.capabilities.audio_transcription_realtime is False:
        sentence = f"There is no realtime transcription by {target.transcription_model!r} for this key."
        return ProbeCode.TRANSCRIPTION_MODEL_NOT_FOUND, sentence
    speaking = _find(target.speech_model, models)
    if speaking is None or _retired(speaking, now) or speaking.capabilities.audio_speech is False:
        return ProbeCode.SPEECH_MODEL_NOT_FOUND, f"There is no speech by {target.speech_model!r} for this key."
    return None


def _warnings(target: ProbeTarget, models: Sequence[Model] | MistralError | Unfinished, now: datetime) -> Iterator[ProbeWarning]:
    if isinstance(models, MistralError | Unfinished):
        return
    model = _find(target.model, models)
    if model is not None and model.retires_at is not None and not _moves_on(target.model):
        yield ProbeWarning(
            WarningCode.MODEL_DEPRECATED,
            "spec.config.model",
            f"The model {target.model!r} retires on {model.retires_at:%Y-%m-%d}.{_instead(model)}",
            f"Change spec.config.model to {model.deprecation_replacement_model or 'a newer model'} before that day."[:512],
        )
    for name in target.allowed_models:
        if (fault := _chat_fault(name, models, now)) is not None:
            yield ProbeWarning(
                WarningCode.ALLOWED_MODEL_NOT_USABLE,
                "spec.policy.allowedModels",
                f"{fault[1]} Clients that ask for it are refused.",
                "Remove it from the list, or ask Mistral for access to it.",
            )
            return


_LATEST: Final = "-latest"


def _moves_on(name: str) -> bool:
    # An alias such as mistral-medium-latest passes to the next model by itself.
    return name.endswith(_LATEST)


def _find(name: str, models: Sequence[Model]) -> Model | None:
    return next((model for model in models if model.id == name), None) or next((model for model in models if model.answers_to(name)), None)


def _retired(model: Model, now: datetime) -> bool:
    return model.retires_at is not None and model.retires_at <= now


def _instead(model: Model) -> str:
    replacement = model.deprecation_replacement_model
    return f" Mistral names {replacement[:128]!r} instead." if replacement else ""


def _trouble_code(error: MistralError) -> ProbeCode:
    match error:
        case ServerTrouble():
            return ProbeCode.UPSTREAM_ERROR
        case NoAnswerInTime():
            return ProbeCode.UPSTREAM_TIMEOUT
        case NameNotResolved():
            return ProbeCode.NAME_NOT_RESOLVED
        case TlsFailed():
            return ProbeCode.TLS_ERROR
        case ConnectionFailed():
            return ProbeCode.CONNECTION_FAILED
        case _:
            return ProbeCode.INVALID_ANSWER
